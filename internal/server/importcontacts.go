package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/server/intake"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// A batch is written in one transaction. It is large enough that the work for each batch does not show, and small
// enough that three of them (one read, one waiting, one written) leave memory flat.
const (
	batchRows  = 10_000
	batchBytes = 4 << 20
)

// importLine is one line of an import's answer: one of its members.
type importLine struct {
	Progress *importCounts   `json:"progress,omitempty" doc:"After each batch."`
	Waiting  string          `json:"waiting,omitempty" doc:"Why nothing goes on at the moment."`
	Rejected *importRejected `json:"rejected,omitempty" doc:"A row that cannot be used. It does not stop the others."`
	Result   *importCounts   `json:"result,omitempty" doc:"The last line of an import that read its file to the end."`
	Error    *importError    `json:"error,omitempty" doc:"The last line of one that did not."`
}

type importCounts struct {
	Bytes     int64 `json:"bytes" doc:"How much of the file has been dealt with."`
	Rows      int64 `json:"rows" doc:"Rows that have been dealt with."`
	Created   int64 `json:"created" doc:"Contacts or accounts that are new."`
	Updated   int64 `json:"updated" doc:"Those of which something changed."`
	Unchanged int64 `json:"unchanged" doc:"Those of which all was known."`
	Rejected  int64 `json:"rejected" doc:"Rows that could not be used."`
}

type importRejected struct {
	Line   int64    `json:"line" doc:"Where the row begins in the file, from 1."`
	Reason string   `json:"reason" doc:"Why, and how to mend it."`
	Record []string `json:"record" doc:"The row's cells; long ones are cut."`
}

type importError struct {
	Detail        string `json:"detail" doc:"What went wrong, and how to go on."`
	Status        int    `json:"status" doc:"The HTTP status that it would have had before the answer began."`
	CommittedLine int64  `json:"committed_line" doc:"The last line that is in. The lines after it are not."`
}

// importReader reads the rows of a file.
type importReader[R any] interface {
	// Next returns a *intake.RowError for a row that cannot be used, and io.EOF at the end.
	Next() (R, error)
	Offset() int64
	Text() string
	Reject(line int64, text, reason string) *intake.RowError
}

// importWriter writes rows, a batch at a time.
type importWriter[R any] interface {
	Apply(ctx context.Context, rows []R) (store.ContactsResult, error)
	Close(ctx context.Context)
}

// importBatch is what the reading side hands to the writing side.
type importBatch[R any] struct {
	rows     []R
	lines    []int64  // where they begin
	texts    []string // of the rows, as the file has them
	rejected int64
	offset   int64 // bytes of the file up to here
	lastLine int64
}

// streamedImport is one import while it runs.
type streamedImport[R any] struct {
	importAnswer
	server    *Server
	tenant    *tenant
	reader    importReader[R]
	of        importOf[R]
	spare     chan *importBatch[R] // batches that have been written, to be filled anew
	counts    importCounts
	committed int64 // line
}

// importAnswer is what the client reads while the file goes in.
type importAnswer struct {
	controller *http.ResponseController
	timeout    time.Duration
	mu         sync.Mutex // of out
	out        *json.Encoder
}

// importContacts answers POST /v1/imports/contacts.
func (s *Server) importContacts(w http.ResponseWriter, r *http.Request) {
	streamImport(s, w, r, importOf[store.ContactRow]{
		line: func(row store.ContactRow) int64 { return row.Line }, people: true,
		open: func(ctx context.Context, t *tenant, source string, lines *intake.Reader) (importReader[store.ContactRow], openWriter[store.ContactRow], error) {
			schema, err := t.db.LoadSchema(ctx)
			if err != nil {
				return nil, nil, &schemaError{err}
			}
			reader, err := intake.NewContactReader(lines, schema.Attributes)
			return reader, func(o store.ImportOptions) importWriter[store.ContactRow] {
				return t.db.NewContactImport(source, reader.Columns, o)
			}, err
		},
	})
}

// importAccounts answers POST /v1/imports/accounts.
func (s *Server) importAccounts(w http.ResponseWriter, r *http.Request) {
	streamImport(s, w, r, importOf[store.AccountRow]{
		line: func(row store.AccountRow) int64 { return row.Line },
		open: func(ctx context.Context, t *tenant, source string, lines *intake.Reader) (importReader[store.AccountRow], openWriter[store.AccountRow], error) {
			attributes, err := t.db.LoadAccountAttributes(ctx)
			if err != nil {
				return nil, nil, &schemaError{err}
			}
			reader, err := intake.NewAccountReader(lines, attributes)
			return reader, func(o store.ImportOptions) importWriter[store.AccountRow] {
				return t.db.NewAccountImport(source, reader.Attributes, o)
			}, err
		},
	})
}

// importOf is what imports of one kind of rows have of their own.
type importOf[R any] struct {
	line   func(R) int64 // where a row begins
	people bool          // rows are about contacts, and counted as such
	// open reads a file's header.
	open func(ctx context.Context, t *tenant, source string, lines *intake.Reader) (importReader[R], openWriter[R], error)
}

// openWriter prepares to write the rows of a file whose header was read.
type openWriter[R any] func(store.ImportOptions) importWriter[R]

// streamImport reads a file of any length and answers while it reads.
func streamImport[R any](s *Server, w http.ResponseWriter, r *http.Request, of importOf[R]) {
	controller := http.NewResponseController(w)
	// From the beginning: otherwise a refusal would wait for the rest of the file. A connection whose body was not read to
	// its end cannot be used again.
	w.Header().Set("Connection", "close")
	defer leaveBody(controller, r.Body)
	if err := controller.EnableFullDuplex(); err != nil {
		writeProblem(w, http.StatusInternalServerError, "This connection cannot stream both ways.")
		return
	}
	if !authorize(w, r, []string{scopeImportsWrite, scopeContactsWrite}) {
		return
	}
	source := r.URL.Query().Get("source")
	if !crm.IsSource(source) {
		writeProblem(w, http.StatusUnprocessableEntity, "The query parameter source names whose ids the file holds: "+
			"lower-case letters, digits, dots, hyphens and underscores, such as shop.")
		return
	}
	if problem := unsuitable(r.Header.Get("Content-Type")); problem != "" {
		writeProblem(w, http.StatusUnsupportedMediaType, problem)
		return
	}
	t := tenantOf(r.Context())
	select {
	case t.imports <- struct{}{}:
		s.metrics.imports.WithLabelValues(t.id).Inc()
		defer func() {
			s.metrics.imports.WithLabelValues(t.id).Dec()
			<-t.imports
		}()
	default:
		w.Header().Set("Retry-After", "60")
		writeProblem(w, http.StatusTooManyRequests, fmt.Sprintf("%d imports of this tenant run already: try again when one of them has ended.", maxImports))
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.stopping, func() { cancel(errStopping) })()
	defer context.AfterFunc(t.ctx, func() { cancel(errStopping) })()
	im := &streamedImport[R]{
		importAnswer: importAnswer{controller: controller, timeout: s.stallTimeout, out: json.NewEncoder(w)},
		server:       s, tenant: t, of: of, spare: make(chan *importBatch[R], 2),
	}
	lines, err := intake.NewReader(&patientReader{ctx: ctx, body: r.Body, controller: controller, timeout: s.stallTimeout})
	var writer openWriter[R]
	if err == nil {
		im.reader, writer, err = of.open(ctx, t, source, lines)
	}
	if err != nil {
		refuseFile(ctx, w, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	_ = im.controller.Flush() // the client learns now that its file is being read
	im.finish(ctx, im.run(ctx, cancel, writer))
}

// leaveTimeout is how long a client that is still sending gets to read why we stopped reading.
const leaveTimeout = 500 * time.Millisecond

// leaveBody closes a body that may not have been read to its end. Closing reads a little more, so that an answer is not
// lost to a connection that is reset; the deadline keeps a client that sends nothing from holding us.
func leaveBody(controller *http.ResponseController, body io.Closer) {
	_ = controller.SetReadDeadline(time.Now().Add(leaveTimeout))
	_ = body.Close()
}

// unsuitable tells why a body of this type cannot be imported.
func unsuitable(contentType string) string {
	if contentType == "" {
		return ""
	}
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "text/csv" && kind != "application/octet-stream" && kind != "text/plain" {
		return "Send the file as text/csv."
	}
	if charset := parameters["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return "Convert the file to UTF-8, such as with iconv -t UTF-8."
	}
	return ""
}

// schemaError says that it cannot be read what a file may hold.
type schemaError struct{ err error }

// Error implements error.
func (e *schemaError) Error() string { return "read what a file may hold: " + e.err.Error() }

// refuseFile answers a file whose header cannot be used.
func refuseFile(ctx context.Context, w http.ResponseWriter, err error) {
	var header *intake.HeaderError
	var row *intake.RowError
	var schema *schemaError
	switch {
	case errors.As(err, &header):
		writeProblem(w, http.StatusUnprocessableEntity, "The file's header cannot be used. Nothing was imported.", header.Problems...)
	case errors.As(err, &row):
		writeProblem(w, http.StatusUnprocessableEntity, "The file's header cannot be read: "+row.Reason+". Nothing was imported.")
	case errors.Is(err, intake.ErrEncoding):
		writeProblem(w, http.StatusUnprocessableEntity, "Nothing was imported: "+err.Error()+".")
	case errors.Is(err, io.EOF):
		writeProblem(w, http.StatusUnprocessableEntity, "The file is empty. Its first line must name the columns.")
	case errors.As(err, &schema):
		status, detail := failure(ctx, schema.err)
		writeProblem(w, status, detail)
	default:
		writeProblem(w, http.StatusBadRequest, "The file could not be read to the end of its header.")
	}
}

// run reads on one side and writes on the other, a batch at a time. When it returns both sides have ended.
func (im *streamedImport[R]) run(ctx context.Context, cancel context.CancelCauseFunc, open openWriter[R]) error {
	// A side that waits for the client does not see the context end: a deadline in the past wakes it.
	defer context.AfterFunc(ctx, func() { _ = im.controller.SetReadDeadline(time.Unix(1, 0)) })()
	batches := make(chan *importBatch[R], 1)
	read := make(chan error, 1)
	go func() {
		defer close(batches)
		read <- im.read(ctx, batches)
	}()
	writer := open(store.ImportOptions{
		Waiting:  func() { im.send(importLine{Waiting: "another import of this source goes on"}) },
		Retrying: func() { im.send(importLine{Waiting: "the database is away"}) },
	})
	err := im.write(ctx, writer, batches)
	if err != nil {
		cancel(err)
	}
	if readErr := <-read; err == nil {
		err = readErr
	}
	last, end := context.WithTimeout(context.WithoutCancel(ctx), queryTimeout)
	defer end()
	writer.Close(last)
	return err
}

// finish sends the last line.
func (im *streamedImport[R]) finish(ctx context.Context, err error) {
	c := im.counts
	if im.of.people {
		im.server.metrics.countRows(im.tenant.id, int(c.Created), int(c.Updated), int(c.Unchanged), int(c.Rejected))
	}
	if err == nil {
		im.send(importLine{Result: &c})
		return
	}
	problem := importError{CommittedLine: im.committed}
	var broken *brokenUpload
	switch {
	case errors.Is(context.Cause(ctx), errStopping):
		problem.Status, problem.Detail = http.StatusServiceUnavailable, "The server is stopping."
	case errors.As(err, &broken):
		problem.Status, problem.Detail = http.StatusBadRequest, "The file did not come to its end."
	default:
		problem.Status, problem.Detail = failure(ctx, err)
	}
	problem.Detail += fmt.Sprintf(" The rows up to line %d are in. Run the import again: it takes up what is missing.", im.committed)
	im.send(importLine{Error: &problem})
}

// read makes batches of the file's rows. Rejected rows are reported at once.
func (im *streamedImport[R]) read(ctx context.Context, batches chan<- *importBatch[R]) error {
	for {
		batch, end, err := im.readBatch()
		if err != nil {
			return err
		}
		select {
		case batches <- batch:
		case <-ctx.Done():
			return nil // the writing side knows why
		}
		if end {
			return nil
		}
	}
}

func (im *streamedImport[R]) readBatch() (batch *importBatch[R], end bool, err error) {
	select {
	case batch = <-im.spare:
	default:
		batch = &importBatch[R]{}
	}
	start := im.reader.Offset()
	for len(batch.rows) < batchRows && im.reader.Offset()-start < batchBytes {
		row, err := im.reader.Next()
		var rejected *intake.RowError
		switch {
		case errors.Is(err, io.EOF):
			batch.offset = im.reader.Offset()
			return batch, true, nil
		case errors.As(err, &rejected):
			batch.rejected++
			batch.lastLine = rejected.Line
			im.reject(rejected)
		case err != nil:
			return nil, false, &brokenUpload{err}
		default:
			batch.lastLine = im.of.line(row)
			batch.rows, batch.lines, batch.texts = append(batch.rows, row), append(batch.lines, batch.lastLine), append(batch.texts, im.reader.Text())
		}
	}
	batch.offset = im.reader.Offset()
	return batch, false, nil
}

// write applies batches until there are no more.
func (im *streamedImport[R]) write(ctx context.Context, writer importWriter[R], batches <-chan *importBatch[R]) error {
	for batch := range batches {
		if len(batch.rows) > 0 {
			result, err := writer.Apply(ctx, batch.rows)
			if err != nil {
				return err
			}
			im.count(batch, result)
		}
		im.counts.Rejected += batch.rejected
		im.counts.Rows += int64(len(batch.rows)) + batch.rejected
		im.counts.Bytes = batch.offset
		im.committed = max(im.committed, batch.lastLine)
		counts := im.counts
		im.send(importLine{Progress: &counts})
		clear(batch.rows)
		clear(batch.texts)
		*batch = importBatch[R]{rows: batch.rows[:0], lines: batch.lines[:0], texts: batch.texts[:0]}
		select {
		case im.spare <- batch:
		default:
		}
	}
	return nil
}

func (im *streamedImport[R]) count(batch *importBatch[R], result store.ContactsResult) {
	for i, outcome := range result.Outcomes {
		switch outcome {
		case store.Created:
			im.counts.Created++
		case store.Updated:
			im.counts.Updated++
		case store.Unchanged:
			im.counts.Unchanged++
		case store.Rejected:
			im.counts.Rejected++
			im.reject(im.reader.Reject(batch.lines[i], batch.texts[i], result.Reasons[i]))
		}
	}
}

func (im *importAnswer) reject(e *intake.RowError) {
	im.send(importLine{Rejected: &importRejected{Line: e.Line, Reason: e.Reason, Record: e.Record}})
}

// send writes a line. A client that is gone is noticed by the reading side.
func (im *importAnswer) send(line importLine) {
	im.mu.Lock()
	defer im.mu.Unlock()
	_ = im.controller.SetWriteDeadline(time.Now().Add(im.timeout))
	_ = im.out.Encode(line)
	if line.Rejected == nil {
		_ = im.controller.Flush()
	}
}

// brokenUpload says that the client stopped sending before the end.
type brokenUpload struct{ err error }

// Error implements error.
func (e *brokenUpload) Error() string { return "read the upload: " + e.err.Error() }

// Unwrap gives the connection's error.
func (e *brokenUpload) Unwrap() error { return e.err }

// patientReader reads a body that may come for hours: each read has a deadline of its own.
type patientReader struct {
	ctx        context.Context
	body       io.Reader
	controller *http.ResponseController
	timeout    time.Duration
}

// Read implements io.Reader.
func (p *patientReader) Read(b []byte) (int, error) {
	if err := p.controller.SetReadDeadline(time.Now().Add(p.timeout)); err != nil {
		return 0, err
	}
	if err := p.ctx.Err(); err != nil { // looked at after the deadline was set, lest that hide the end
		return 0, err
	}
	n, err := p.body.Read(b)
	if errors.Is(err, io.EOF) {
		// From here on the connection is read only to notice that the client goes: that may wait.
		_ = p.controller.SetReadDeadline(time.Time{})
	}
	return n, err
}
