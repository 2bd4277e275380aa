package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/tertulia-crm/tertulia/internal/support"
)

// supportOptions are what `tertulia support-bundle` is told.
type supportOptions struct {
	clusterOptions
	all               bool
	operatorNamespace string
	output            string
	logLines          int64
	maxMegabytes      int64
	offline           bool
}

// NewSupportBundleCommand is `tertulia support-bundle`: what support needs, without people and without secrets.
func NewSupportBundleCommand() *cobra.Command {
	var o supportOptions
	cmd := &cobra.Command{
		Use: "support-bundle", GroupID: "use", Short: "Collect what support needs to know, without people and secrets",
		Long: "Writes an archive with the objects of a tenant, what runs, events, logs and facts about its database. It holds no row of a\n" +
			"database, no value of a Secret and no text of a template, and whatever looks like an address, a phone, a token or a password is\n" +
			"taken out of everything. manifest.yaml in it tells what is in it, what was left out, and what could not be read.\n\n" +
			"Look into it before you send it: tar -xzf FILE",
		Example: "  kubectl tertulia support-bundle -n velo\n  tertulia support-bundle --all-namespaces --output incident.tar.gz",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.addFlags(cmd)
	flags := cmd.Flags()
	flags.BoolVarP(&o.all, "all-namespaces", "A", false, "all tenants of the cluster")
	flags.StringVar(&o.operatorNamespace, "operator-namespace", "", "where the operator runs, if you may not look in all namespaces")
	flags.StringVarP(&o.output, "output", "o", "", `the file to write, "-" for standard output (default: tertulia-support-<namespace>-<time>.tar.gz)`)
	flags.Int64Var(&o.logLines, "log-lines", 5000, "how many lines of each container's log to take, from the end; 0 takes none")
	flags.Int64Var(&o.maxMegabytes, "max-size", 100, "how many megabytes to collect at most, before compression")
	flags.BoolVar(&o.offline, "without-databases", false, "do not ask tenants' servers about their databases")
	return cmd
}

func (o *supportOptions) run(ctx context.Context, out, progress io.Writer) error {
	if o.logLines < 0 || o.maxMegabytes < 1 {
		return errors.New("--log-lines must not be negative, and --max-size at least 1")
	}
	config, namespace, err := o.load()
	if err != nil {
		return err
	}
	if o.all {
		namespace = ""
	}
	api, err := clusterClient(config)
	if err != nil {
		return err
	}
	// Logs take longer than a request may; each has a bound of its own.
	config.Timeout = 0
	cluster, err := corev1client.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("connect to the cluster: %w", err)
	}
	from := support.Sources{API: api, Cluster: cluster}
	if !o.offline {
		from.Diagnose = o.diagnose
	}
	options := support.Options{
		Namespace: namespace, OperatorNamespace: o.operatorNamespace, LogLines: o.logLines, MaxBytes: o.maxMegabytes << 20,
		Version: version, Now: time.Now(),
	}
	if o.output == "-" {
		_, err := support.Collect(ctx, out, from, options)
		return err
	}
	name := o.output
	if name == "" {
		name = fmt.Sprintf("tertulia-support-%s-%s.tar.gz", orDefault(namespace, "all"), options.Now.UTC().Format("20060102T150405Z"))
	}
	report, err := writeWhole(name, func(w io.Writer) (support.Report, error) { return support.Collect(ctx, w, from, options) })
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "Wrote %s: %d files.\n", name, report.Files)
	for _, e := range report.Errors {
		fmt.Fprintf(progress, "  not in it: %s\n", e)
	}
	return nil
}

// diagnose asks a tenant's server as its administrator. The environment's server and token are one tenant's, and this may be
// another.
func (o *supportOptions) diagnose(ctx context.Context, namespace string) (any, error) {
	access := accessOptions{clusterOptions: o.clusterOptions}
	access.namespace = namespace
	client := &tenantClient{http: &http.Client{}}
	if err := access.readSecret(ctx, client); err != nil {
		return nil, err
	}
	var facts any
	return facts, client.call(ctx, http.MethodGet, "/v1/diagnosis", nil, &facts)
}

// writeWhole writes a file of which nothing is seen before it is whole, and that only its owner may read.
func writeWhole(name string, write func(io.Writer) (support.Report, error)) (report support.Report, err error) {
	file, err := os.CreateTemp(filepath.Dir(name), ".tertulia-support-*")
	if err != nil {
		return report, fmt.Errorf("make the bundle: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	report, err = write(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return report, err
	}
	return report, os.Rename(file.Name(), name)
}

func orDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
