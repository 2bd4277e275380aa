package cli

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tertulia-crm/tertulia/internal/server/intake"
)

func newImportContacts() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use: "contacts FILE.csv", Short: "Import contacts from a CSV file",
		Long: `Imports contacts from a CSV file in UTF-8, of any length. The first line names the columns:

  external_id            the source's own id of the person (required)
  email, phone           as email:verified or phone:verified where the source has verified them:
                         such a one identifies its person, others are only noted
  tags                   separated by |, added to those that the contact has
  locale, time_zone      such as es-MX and America/Mexico_City
  consent:<purpose>      true, false, or empty
  account, account_role  the source's ids of the accounts that the person belongs to, separated by |, the primary one
                         first, and what the person is in that one
  <attribute>            each attribute of the RecordType "contact"

An empty cell leaves what is recorded as it is, and nothing overrides what a contact decided about consent themself.
Rows that cannot be used go to FILE.rejected.csv with their line and the reason, and do not stop the others; mended,
that file can be imported itself. An external_id that stands in a file twice is rejected the second time. To import a
file again changes nothing.`,
		Example: "  tertulia import contacts contacts.csv --namespace velo --source shop",
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, "contacts", func(client *tenantClient) (importSummary, error) {
				i := &contactsImport{client: client, what: "contacts", name: args[0], source: o.source, stderr: cmd.ErrOrStderr()}
				return i.run(cmd.Context())
			})
		},
	}
	o.addFlags(cmd)
	return cmd
}

// contactsSummary is what an import did.
type contactsSummary struct {
	contactCounts
	Changed      bool    `json:"changed"`
	Seconds      float64 `json:"seconds"`
	RejectedFile string  `json:"rejected_file,omitempty"`
}

type contactCounts struct {
	Bytes     int64 `json:"bytes"`
	Rows      int64 `json:"rows"`
	Created   int64 `json:"created"`
	Updated   int64 `json:"updated"`
	Unchanged int64 `json:"unchanged"`
	Rejected  int64 `json:"rejected"`
}

func (s contactsSummary) print(w io.Writer) {
	fmt.Fprintf(w, "%d rows in %s (%.0f/s): %d created, %d updated, %d unchanged, %d rejected.\n",
		s.Rows, time.Duration(s.Seconds*float64(time.Second)).Round(10*time.Millisecond), float64(s.Rows)/max(s.Seconds, 0.001),
		s.Created, s.Updated, s.Unchanged, s.Rejected)
	if !s.Changed && s.Rejected == 0 {
		fmt.Fprintln(w, "Nothing changed: all of it was there already.")
	}
	if s.RejectedFile != "" {
		fmt.Fprintf(w, "The rejected rows are in %s, each with its line and the reason.\n", s.RejectedFile)
	}
}

// contactsLine is a line of the server's answer.
type contactsLine struct {
	Progress *contactCounts `json:"progress"`
	Waiting  string         `json:"waiting"`
	Rejected *rejectedRow   `json:"rejected"`
	Result   *contactCounts `json:"result"`
	Error    *serverError   `json:"error"`
}

type rejectedRow struct {
	Line   int64    `json:"line"`
	Reason string   `json:"reason"`
	Record []string `json:"record"`
}

// contactsImport is one run of `tertulia import contacts`, or of accounts, which are imported alike.
type contactsImport struct {
	client   *tenantClient
	what     string // contacts, accounts
	name     string
	source   string
	stderr   io.Writer
	rejected *rejectedFile
	progress *progress
}

func (i *contactsImport) run(ctx context.Context) (summary contactsSummary, err error) {
	file, size, err := openFile(i.name)
	if err != nil {
		return summary, err
	}
	defer func() { _ = file.Close() }()
	i.rejected = &rejectedFile{name: rejectedName(i.name), header: readHeader(i.name)}
	i.progress = newProgress(i.stderr, size, "rows")
	path := "/v1/imports/" + i.what + "?source=" + url.QueryEscape(i.source)
	answer, err := i.client.send(ctx, http.MethodPost, path, "text/csv", bufio.NewReaderSize(file, 256<<10))
	if err != nil {
		return summary, err
	}
	defer func() { _ = answer.Body.Close() }()
	counts, err := i.follow(answer.Body)
	i.progress.done()
	if closed := i.rejected.close(); err == nil {
		err = closed
	}
	if err != nil {
		return summary, err
	}
	summary = contactsSummary{
		contactCounts: counts, Changed: counts.Created+counts.Updated > 0, Seconds: i.progress.took().Seconds(), RejectedFile: i.rejected.written(),
	}
	return summary, nil
}

// follow reads the server's lines while the file is still being sent.
func (i *contactsImport) follow(answer io.Reader) (contactCounts, error) {
	lines := json.NewDecoder(answer)
	var at contactCounts
	for {
		var line contactsLine
		if err := lines.Decode(&line); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return at, fmt.Errorf("the connection ended before the import did (run it again, it takes up what is missing): %w", err)
		}
		switch {
		case line.Error != nil:
			return at, line.Error
		case line.Result != nil:
			return *line.Result, nil
		case line.Rejected != nil:
			if err := i.rejected.add(*line.Rejected); err != nil {
				return at, err
			}
		case line.Progress != nil:
			at = *line.Progress
			i.progress.show(at.Bytes, at.Rows, "")
		case line.Waiting != "":
			i.progress.show(at.Bytes, at.Rows, "waiting: "+line.Waiting)
		}
	}
}

// rejectedFile takes the rejected rows. It is there only if there are any.
type rejectedFile struct {
	name   string
	header []string
	file   *os.File
	csv    *csv.Writer
}

func (r *rejectedFile) add(row rejectedRow) error {
	if r.file == nil {
		file, err := os.OpenFile(r.name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // it holds people
		if err != nil {
			return fmt.Errorf("keep rejected rows: %w", err)
		}
		r.file, r.csv = file, csv.NewWriter(file)
		if err := r.csv.Write(append([]string{intake.RejectedLine, intake.RejectedReason}, r.header...)); err != nil {
			return fmt.Errorf("keep rejected rows: %w", err)
		}
	}
	if err := r.csv.Write(append([]string{strconv.FormatInt(row.Line, 10), row.Reason}, row.Record...)); err != nil {
		return fmt.Errorf("keep rejected rows: %w", err)
	}
	return nil
}

// close finishes the file. Where nothing was rejected, the file of an earlier run stays: somebody may be mending it.
func (r *rejectedFile) close() error {
	if r.file == nil {
		return nil
	}
	r.csv.Flush()
	if err := errors.Join(r.csv.Error(), r.file.Close()); err != nil {
		return fmt.Errorf("keep rejected rows: %w", err)
	}
	return nil
}

func (r *rejectedFile) written() string {
	if r.file == nil {
		return ""
	}
	return r.name
}

// readHeader reads a file's column names for the file of rejected rows. Where they cannot be read the server says why.
func readHeader(name string) []string {
	file, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }()
	return intake.Header(file)
}
