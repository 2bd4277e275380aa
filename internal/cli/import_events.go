package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/spf13/cobra"

	"github.com/tertulia-crm/tertulia/internal/server/intake"
)

func newImportEvents() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use: "events FILE.ndjson", Short: "Import events from a file of JSON lines",
		Long: `Imports events, one JSON object a line, as POST /v1/events:batch takes them:

  {"id": "order-17", "name": "purchase", "occurred_at": "2026-11-21T09:00:00Z",
   "contact": {"external_id": "C0000001"}, "properties": {"amount": "34.50"}}

An event is taken once for each source and id: to import a file again changes nothing. Lines that cannot be used go to
FILE.rejected.ndjson with their number and the reason, and do not stop the others.`,
		Example: "  tertulia import events events.ndjson --namespace velo --source shop",
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, "events", func(client *tenantClient) (importSummary, error) {
				i := &eventsImport{client: client, name: args[0], source: o.source, stderr: cmd.ErrOrStderr()}
				return i.run(cmd.Context())
			})
		},
	}
	o.addFlags(cmd)
	return cmd
}

// eventsSummary is what an import of events did.
type eventsSummary struct {
	Events       int64   `json:"events"`
	Accepted     int64   `json:"accepted"`
	Duplicate    int64   `json:"duplicate"`
	Rejected     int64   `json:"rejected"`
	Changed      bool    `json:"changed"`
	Seconds      float64 `json:"seconds"`
	RejectedFile string  `json:"rejected_file,omitempty"`
}

func (s eventsSummary) total() int64 { return s.Accepted + s.Duplicate + s.Rejected }

func (s eventsSummary) print(w io.Writer) {
	fmt.Fprintf(w, "%d events in %s (%.0f/s): %d accepted, %d taken before, %d rejected.\n",
		s.Events, time.Duration(s.Seconds*float64(time.Second)).Round(10*time.Millisecond), float64(s.Events)/max(s.Seconds, 0.001),
		s.Accepted, s.Duplicate, s.Rejected)
	if !s.Changed && s.Rejected == 0 {
		fmt.Fprintln(w, "Nothing changed: all of it was there already.")
	}
	if s.RejectedFile != "" {
		fmt.Fprintf(w, "The rejected events are in %s, each with its line and the reason.\n", s.RejectedFile)
	}
}

const (
	eventsBatch  = 1000    // what the server takes at a time
	eventsBytes  = 4 << 20 // of a batch
	maxEventLine = 256 << 10
	patience     = 2 * time.Minute
)

// eventLine is an event with its place in the file.
type eventLine struct {
	line int64
	raw  []byte
	item intake.EventItem
}

type eventBatch struct {
	events []eventLine
	bytes  int64
}

// eventsImport is one run of `tertulia import events`.
type eventsImport struct {
	client   *tenantClient
	name     string
	source   string
	stderr   io.Writer
	summary  eventsSummary
	rejected *os.File
}

func (i *eventsImport) run(ctx context.Context) (eventsSummary, error) {
	file, size, err := openFile(i.name)
	if err != nil {
		return i.summary, err
	}
	defer func() { _ = file.Close() }()
	bar := newProgress(i.stderr, size, "events")
	err = i.sendAll(ctx, file, bar)
	bar.done()
	if closed := i.closeRejected(); err == nil {
		err = closed
	}
	i.summary.Events, i.summary.Seconds, i.summary.Changed = i.summary.total(), bar.took().Seconds(), i.summary.Accepted > 0
	return i.summary, err
}

func (i *eventsImport) sendAll(ctx context.Context, file io.Reader, bar *progress) error {
	lines := bufio.NewReaderSize(file, maxEventLine)
	var batch eventBatch
	var line, read int64
	for {
		n, err := i.take(lines, line+1, &batch)
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return err
		}
		line, read = line+1, read+n
		if !end && len(batch.events) < eventsBatch && batch.bytes < eventsBytes {
			continue
		}
		if err := i.send(ctx, batch.events); err != nil {
			return fmt.Errorf("send the events up to line %d (run the import again, it takes up what is missing): %w", line, err)
		}
		bar.show(read, i.summary.total(), "")
		if end {
			return nil
		}
		batch = eventBatch{events: batch.events[:0]}
	}
}

// take reads the next line into the batch, or rejects it. It returns how many bytes the line took, and io.EOF at the end.
func (i *eventsImport) take(lines *bufio.Reader, line int64, batch *eventBatch) (int64, error) {
	raw, n, err := readLine(lines)
	switch {
	case errors.Is(err, io.EOF):
		return 0, io.EOF
	case err != nil && !errors.Is(err, errLongLine):
		return n, fmt.Errorf("read the file: %w", err)
	case len(bytes.TrimSpace(raw)) == 0:
		return n, nil
	}
	event, reason := i.parse(line, raw, err)
	if reason != "" {
		return n, i.reject(line, reason, raw)
	}
	batch.events, batch.bytes = append(batch.events, event), batch.bytes+n
	return n, nil
}

var errLongLine = errors.New("the line is too long")

// readLine reads a line and tells how many bytes it took. Of one that is too long it returns the beginning.
func readLine(r *bufio.Reader) (line []byte, size int64, err error) {
	part, err := r.ReadSlice('\n')
	line, size = bytes.Clone(part), int64(len(part))
	for errors.Is(err, bufio.ErrBufferFull) {
		part, err = r.ReadSlice('\n')
		size += int64(len(part))
		if !errors.Is(err, bufio.ErrBufferFull) && (err == nil || errors.Is(err, io.EOF)) {
			return line[:1000], size, errLongLine
		}
	}
	if errors.Is(err, io.EOF) && size > 0 {
		err = nil // the last line needs no line break
	}
	return line, size, err
}

func (i *eventsImport) parse(line int64, raw []byte, err error) (e eventLine, reason string) {
	if err != nil {
		return e, fmt.Sprintf("the line is longer than %d KiB", maxEventLine>>10)
	}
	e = eventLine{line: line, raw: raw}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e.item); err != nil {
		return e, "is no event: " + strings.TrimPrefix(err.Error(), "json: ")
	}
	if decoder.More() {
		return e, "holds more than one JSON value"
	}
	if e.item.Source == "" {
		e.item.Source = i.source
	}
	return e, ""
}

// send sends a batch, again while the server or its database is away: events are taken once.
func (i *eventsImport) send(ctx context.Context, batch []eventLine) error {
	request := struct {
		Events []intake.EventItem `json:"events"`
	}{}
	if len(batch) == 0 {
		return nil
	}
	for _, e := range batch {
		request.Events = append(request.Events, e.item)
	}
	type answer struct {
		Accepted  int64 `json:"accepted"`
		Duplicate int64 `json:"duplicate"`
		Results   []struct {
			Index int    `json:"index"`
			Error string `json:"error"`
		} `json:"results"`
	}
	got, err := backoff.Retry(ctx, func() (answer, error) {
		var a answer
		err := i.client.call(ctx, http.MethodPost, "/v1/events:batch", request, &a)
		if err != nil && !temporary(err) {
			err = backoff.Permanent(err)
		}
		return a, err
	}, backoff.WithMaxElapsedTime(patience))
	if err != nil {
		return err
	}
	i.summary.Accepted += got.Accepted
	i.summary.Duplicate += got.Duplicate
	for _, result := range got.Results {
		if result.Error == "" || result.Index < 0 || result.Index >= len(batch) {
			continue
		}
		if err := i.reject(batch[result.Index].line, result.Error, batch[result.Index].raw); err != nil {
			return err
		}
	}
	return nil
}

func (i *eventsImport) reject(line int64, reason string, raw []byte) error {
	i.summary.Rejected++
	if i.rejected == nil {
		i.summary.RejectedFile = rejectedName(i.name)
		file, err := os.OpenFile(i.summary.RejectedFile, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // it holds people
		if err != nil {
			return fmt.Errorf("keep rejected events: %w", err)
		}
		i.rejected = file
	}
	row := struct {
		Line   int64           `json:"line"`
		Reason string          `json:"reason"`
		Event  json.RawMessage `json:"event,omitempty"`
		Text   string          `json:"text,omitempty"` // of a line that is no JSON
	}{Line: line, Reason: reason, Event: bytes.TrimSpace(raw)}
	if !json.Valid(raw) {
		row.Event, row.Text = nil, strings.ToValidUTF8(string(bytes.TrimSpace(raw)), "\uFFFD")
	}
	if err := json.NewEncoder(i.rejected).Encode(row); err != nil {
		return fmt.Errorf("keep rejected events: %w", err)
	}
	return nil
}

// closeRejected finishes the file of rejected events.
func (i *eventsImport) closeRejected() error {
	if i.rejected == nil {
		return nil
	}
	if err := i.rejected.Close(); err != nil {
		return fmt.Errorf("keep rejected events: %w", err)
	}
	return nil
}
