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
	Created   int64 `json:"created" doc:"People who are new."`
	Updated   int64 `json:"updated" doc:"People of whom something changed."`
	Unchanged int64 `json:"unchanged" doc:"People of whom all was known."`
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

// contactBatch is what the reading side hands to the writing side.
type contactBatch struct {
	rows     []store.ContactRow
	texts    []string // of the rows, as the file has them
	rejected int64
	offset   int64 // bytes of the file up to here
	lastLine int64
}

// contactsImport is one import while it runs.
type contactsImport struct {
	server     *Server
	tenant     *tenant
	reader     *intake.ContactReader
	controller *http.ResponseController
	mu         sync.Mutex // of out
	out        *json.Encoder
	spare      chan *contactBatch // batches that have been written, to be filled anew
	counts     importCounts
	committed  int64 // line
}

// importContacts answers POST /v1/imports/contacts.
func (s *Server) importContacts(w http.ResponseWriter, r *http.Request) {
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
	im := &contactsImport{server: s, tenant: t, controller: controller, out: json.NewEncoder(w), spare: make(chan *contactBatch, 2)}
	if !im.open(ctx, w, r.Body) {
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	_ = im.controller.Flush() // the client learns now that its file is being read
	im.finish(ctx, im.run(ctx, cancel, source))
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

// open reads the file's header and answers with a problem where it cannot be used.
func (im *contactsImport) open(ctx context.Context, w http.ResponseWriter, body io.Reader) bool {
	schema, err := im.tenant.db.LoadSchema(ctx)
	if err != nil {
		status, detail := failure(ctx, err)
		writeProblem(w, status, detail)
		return false
	}
	lines, err := intake.NewReader(&patientReader{ctx: ctx, body: body, controller: im.controller, timeout: im.server.stallTimeout})
	if err == nil {
		im.reader, err = intake.NewContactReader(lines, schema.Attributes)
	}
	var header *intake.HeaderError
	var row *intake.RowError
	switch {
	case err == nil:
		return true
	case errors.As(err, &header):
		writeProblem(w, http.StatusUnprocessableEntity, "The file's header cannot be used. Nothing was imported.", header.Problems...)
	case errors.As(err, &row):
		writeProblem(w, http.StatusUnprocessableEntity, "The file's header cannot be read: "+row.Reason+". Nothing was imported.")
	case errors.Is(err, intake.ErrEncoding):
		writeProblem(w, http.StatusUnprocessableEntity, "Nothing was imported: "+err.Error()+".")
	case errors.Is(err, io.EOF):
		writeProblem(w, http.StatusUnprocessableEntity, "The file is empty. Its first line must name the columns.")
	default:
		writeProblem(w, http.StatusBadRequest, "The file could not be read to the end of its header.")
	}
	return false
}

// run reads on one side and writes on the other, a batch at a time. When it returns both sides have ended.
func (im *contactsImport) run(ctx context.Context, cancel context.CancelCauseFunc, source string) error {
	// A side that waits for the client does not see the context end: a deadline in the past wakes it.
	defer context.AfterFunc(ctx, func() { _ = im.controller.SetReadDeadline(time.Unix(1, 0)) })()
	batches := make(chan *contactBatch, 1)
	read := make(chan error, 1)
	go func() {
		defer close(batches)
		read <- im.read(ctx, batches)
	}()
	writer := im.tenant.db.NewContactImport(source, im.reader.Columns, store.ImportOptions{
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
	if closing := writer.Close(last); closing != nil {
		im.tenant.stale.Store(true) // the segments are asked for again later
	}
	return err
}

// finish sends the last line.
func (im *contactsImport) finish(ctx context.Context, err error) {
	c := im.counts
	im.server.metrics.countRows(im.tenant.id, int(c.Created), int(c.Updated), int(c.Unchanged), int(c.Rejected))
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
func (im *contactsImport) read(ctx context.Context, batches chan<- *contactBatch) error {
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

func (im *contactsImport) readBatch() (batch *contactBatch, end bool, err error) {
	select {
	case batch = <-im.spare:
	default:
		batch = &contactBatch{}
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
			batch.rows, batch.texts = append(batch.rows, row), append(batch.texts, im.reader.Text())
			batch.lastLine = row.Line
		}
	}
	batch.offset = im.reader.Offset()
	return batch, false, nil
}

// write applies batches until there are no more.
func (im *contactsImport) write(ctx context.Context, writer *store.ContactImport, batches <-chan *contactBatch) error {
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
		*batch = contactBatch{rows: batch.rows[:0], texts: batch.texts[:0]}
		select {
		case im.spare <- batch:
		default:
		}
	}
	return nil
}

func (im *contactsImport) count(batch *contactBatch, result store.ContactsResult) {
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
			im.reject(im.reader.Reject(batch.rows[i].Line, batch.texts[i], result.Reasons[i]))
		}
	}
}

func (im *contactsImport) reject(e *intake.RowError) {
	im.send(importLine{Rejected: &importRejected{Line: e.Line, Reason: e.Reason, Record: e.Record}})
}

// send writes a line. A client that is gone is noticed by the reading side.
func (im *contactsImport) send(line importLine) {
	im.mu.Lock()
	defer im.mu.Unlock()
	_ = im.controller.SetWriteDeadline(time.Now().Add(im.server.stallTimeout))
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
