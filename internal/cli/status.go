package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/internal/overview"
)

// The exit statuses of `tertulia status` beside 0.
const (
	statusWrong   = 1 // something is wrong with a tenant
	statusUnknown = 2 // nothing could be told
)

// watchInterval is how often --watch looks. Status moves every five seconds at most while a campaign is sent.
const watchInterval = 2 * time.Second

// statusOptions are what `tertulia status` is told.
type statusOptions struct {
	clusterOptions
	all               bool
	operatorNamespace string
	output            string
	watch             bool
}

// NewStatusCommand is `tertulia status`: what runs, what is sent, what waits, what is wrong and what to do about it.
func NewStatusCommand() *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use: "status", GroupID: "use", Short: "Show what runs, what waits, what is wrong and what to do",
		Long: "Shows a tenant on one screen, or all tenants with a line for each. It needs no more than the right to read our kinds in the\n" +
			"namespace; what else you may not see is named and left out.\n\n" +
			"Exit status: 0 when all is well, 1 when something is wrong, 2 when nothing could be told.",
		Example: "  kubectl tertulia status -n velo\n  kubectl tertulia status --all-namespaces\n  tertulia status --output json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(o.output); err != nil {
				return failure{statusUnknown, err}
			}
			return o.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return failure{statusUnknown, cmd.Parent().FlagErrorFunc()(cmd, err)}
	})
	o.addFlags(cmd)
	addOutput(cmd, &o.output)
	flags := cmd.Flags()
	flags.BoolVarP(&o.all, "all-namespaces", "A", false, "a line for each tenant of the cluster")
	flags.StringVar(&o.operatorNamespace, "operator-namespace", "", "where the operator runs, if you may not look in all namespaces")
	flags.BoolVarP(&o.watch, "watch", "w", false, "look again every two seconds until interrupted")
	return cmd
}

func (o *statusOptions) run(ctx context.Context, out io.Writer) error {
	config, namespace, err := o.load()
	if err != nil {
		return failure{statusUnknown, err}
	}
	if o.all {
		namespace = ""
	}
	api, err := clusterClient(config)
	if err != nil {
		return failure{statusUnknown, err}
	}
	what := overview.Options{Namespace: namespace, OperatorNamespace: o.operatorNamespace}
	for {
		well, err := o.show(ctx, out, api, what)
		if !o.watch {
			return statusEnd(well, err)
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(out, "%s  %v\n", time.Now().Format(time.TimeOnly), err) // it may work again
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchInterval):
		}
	}
}

// statusEnd is how the verb ends.
func statusEnd(well bool, err error) error {
	switch {
	case err != nil:
		return failure{statusUnknown, err}
	case !well:
		return &verdictError{statusWrong}
	}
	return nil
}

// show looks once.
func (o *statusOptions) show(ctx context.Context, out io.Writer, api client.Reader, what overview.Options) (well bool, err error) {
	facts, err := overview.Gather(ctx, api, what)
	if err != nil {
		return false, err
	}
	seen := overview.Plan(facts, time.Now())
	if o.output == outputJSON {
		return seen.Well(), printJSON(out, seen)
	}
	look, terminal := lookOf(out)
	if o.watch && terminal {
		fmt.Fprint(out, "\x1b[H\x1b[2J") // from the top, on an empty screen
	}
	if o.all {
		return seen.Well(), overview.Table(out, seen, look)
	}
	return seen.Well(), overview.Screen(out, seen, look)
}

// lookOf fits a screen to where it is written. What is no terminal gets no colours (https://no-color.org) and a fixed width.
func lookOf(out io.Writer) (look overview.Look, terminal bool) {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return overview.Look{}, false
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		width = 0
	}
	return overview.Look{Width: width, Colour: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}, true
}
