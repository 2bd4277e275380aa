// Package cli holds the verbs of the tertulia command, a file each.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tertulia-crm/tertulia/internal/work"
)

// version is set by the linker.
var version = "unknown"

// Main runs the tertulia command with this process's arguments and returns the exit status. Here alone SIGINT and SIGTERM
// become the end of a context; `up` adds the end of its terminal.
func Main() int { return MainWith(Tuning{}) }

// Tuning changes what no flag does, for programs that run the processes of this command in order to break them: nobody
// else should be able to shorten the times by which the ledger is safe.
type Tuning struct {
	// Worker changes the options of `tertulia worker`; nil changes none.
	Worker func(*work.Options)
}

// MainWith is Main with other options than flags can give.
func MainWith(t Tuning) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return exitStatus(newCommand(t).ExecuteContext(ctx), os.Stderr)
}

// verdictError ends a verb whose own output has said all: its exit status is the answer.
type verdictError struct{ status int }

func (e *verdictError) Error() string { return fmt.Sprintf("exit status %d", e.status) }

// failure is an error with an exit status of its own.
type failure struct {
	status int
	error
}

func (f failure) Unwrap() error { return f.error }

// exitStatus tells how the process ends, and says why where the verb has not.
func exitStatus(err error, out io.Writer) int {
	var verdict *verdictError
	if err == nil {
		return 0
	}
	if errors.As(err, &verdict) {
		return verdict.status
	}
	fmt.Fprintln(out, "tertulia:", err)
	var failed failure
	if errors.As(err, &failed) {
		return failed.status
	}
	return 1
}

// pluginName is the name under which kubectl finds this program, as `kubectl tertulia`.
const pluginName = "kubectl-tertulia"

// asPlugin makes help texts name the command as people wrote it.
func asPlugin(root *cobra.Command, program string) {
	if name := strings.TrimSuffix(filepath.Base(program), ".exe"); name == pluginName {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl tertulia"}
	}
}

// NewCommand is the tertulia command. A verb that ended its own output with an explanation returns an error all the same:
// Main decides about the exit status.
func NewCommand() *cobra.Command { return newCommand(Tuning{}) }

func newCommand(t Tuning) *cobra.Command {
	root := &cobra.Command{
		Use:   "tertulia",
		Short: "A Social CRM whose whole configuration lives in Git",
		Long: "Tertulia is a Social CRM whose campaigns, segments and channels are Kubernetes objects, and whose people live in PostgreSQL.\n\n" +
			"On a machine of your own, `tertulia up` runs all of it.",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	asPlugin(root, os.Args[0])
	root.SetVersionTemplate(fmt.Sprintf("tertulia %s\n", version))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; %s --help lists the flags", err, cmd.CommandPath())
	})
	root.AddGroup(
		&cobra.Group{ID: "use", Title: "For people:"},
		&cobra.Group{ID: "run", Title: "Processes, which up and the cluster start:"},
	)
	root.AddCommand(
		NewUpCommand(), NewStatusCommand(), NewCampaignCommand(), NewQuarantineCommand(), NewSupportBundleCommand(), NewImportCommand(), NewTokenCommand(),
		NewRenderCommand(), NewSentimentCommand(), NewSendTestCommand(), NewContactCommand(), NewAccountCommand(),
		NewSegmentCommand(), NewSuppressCommand(), NewSuppressionCommand(),
		NewListenCommand(), NewMentionsCommand(), NewMonitorCommand(), NewSourceCommand(), NewRuleCommand(),
		NewInboxCommand(), NewReplyCommand(), NewNoteCommand(), NewAssignCommand(), NewCloseCommand(), NewTicketCommand(),
		NewOperatorCommand(), NewWorkerCommand(t), NewServerCommand(),
	)
	return root
}
