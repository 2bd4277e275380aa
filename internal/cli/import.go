package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// NewImportCommand is `tertulia import`: people and events from files.
func NewImportCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "import", GroupID: "use", Short: "Import contacts, accounts and events from files"}
	cmd.AddCommand(newImportContacts(), newImportAccounts(), newImportEvents())
	return cmd
}

// importOptions are the flags of both imports.
type importOptions struct {
	access accessOptions
	source string
	output string
}

func (o *importOptions) addFlags(cmd *cobra.Command) {
	o.access.addFlags(cmd)
	addOutput(cmd, &o.output)
	cmd.Flags().StringVar(&o.source, "source", "", "the system that the file comes from and whose ids it holds, such as shop (required)")
	require(cmd, "source")
}

// importSummary is what an import did, for people and, as JSON, for scripts.
type importSummary interface{ print(w io.Writer) }

// run finds the tenant, runs an import of this name and prints what it did.
func (o *importOptions) run(cmd *cobra.Command, name string, run func(*tenantClient) (importSummary, error)) error {
	if err := checkOutput(o.output); err != nil {
		return err
	}
	client, err := o.access.client(cmd.Context())
	if err != nil {
		return err
	}
	summary, err := run(client)
	if err != nil {
		return fmt.Errorf("import %s: %w", name, err)
	}
	if o.output == outputJSON {
		return printJSON(cmd.OutOrStdout(), summary)
	}
	summary.print(cmd.OutOrStdout())
	return nil
}

// oneFile wants the name of one file.
func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("name one file, not %d: %s", len(args), cmd.UseLine())
	}
	return nil
}

// rejectedName is where rejected rows of a file go: contacts.csv leaves contacts.rejected.csv.
func rejectedName(file string) string {
	extension := filepath.Ext(file)
	return strings.TrimSuffix(file, extension) + ".rejected" + extension
}

// progress shows how an import goes on a terminal, and nothing elsewhere.
type progress struct {
	bar     *progressbar.ProgressBar
	what    string
	started time.Time
}

func newProgress(w io.Writer, size int64, what string) *progress {
	p := &progress{what: what, started: time.Now()}
	if file, ok := w.(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
		return p
	}
	p.bar = progressbar.NewOptions64(size, progressbar.OptionSetWriter(w), progressbar.OptionFullWidth(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetDescription(what))
	return p
}

// show moves the bar to a place in the file.
func (p *progress) show(bytes, rows int64, note string) {
	if p.bar == nil {
		return
	}
	if note == "" {
		note = fmt.Sprintf("%d %s, %s", rows, p.what, p.rate(rows))
	}
	p.bar.Describe(note)
	_ = p.bar.Set64(bytes) // a bar that cannot be drawn stops nothing
}

func (p *progress) done() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

func (p *progress) rate(rows int64) string {
	seconds := time.Since(p.started).Seconds()
	if seconds < 0.001 {
		seconds = 0.001
	}
	return fmt.Sprintf("%.0f/s", float64(rows)/seconds)
}

func (p *progress) took() time.Duration { return time.Since(p.started).Round(10 * time.Millisecond) }

// openFile opens a file to import and tells its size.
func openFile(name string) (*os.File, int64, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err // it names the file
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory", name)
	}
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}
