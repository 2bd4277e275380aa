// Package intake reads what strangers send about people: CSV files and JSON items become checked rows, or reasons why
// not. It is bounded in memory whatever comes in.
package intake

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// The bounds of a record. They are far above what a person's data needs and far below what would hurt.
const (
	MaxCell   = 64 << 10
	MaxRecord = 1 << 20
)

// RowError says why a record cannot be read. The next record can.
type RowError struct {
	Line   int64 // where the record begins, from 1
	Reason string
	// Record is what could be read of it, for the person who mends it; long cells are cut.
	Record []string
}

// Error implements error.
func (e *RowError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// ErrEncoding says that a file as a whole is not in UTF-8.
var ErrEncoding = errors.New("the file is not in UTF-8")

// Reader reads CSV (RFC 4180) with a bounded buffer. It differs from encoding/csv in that every record is bounded, that
// no bad record stops the ones after it, and that it tells what is wrong in words for the file's author.
type Reader struct {
	// Fields is how many cells the file's records have, once its header is known; 0 before.
	Fields int

	source    io.Reader
	buf       []byte
	start     int   // of the record that is being read
	end       int   // of what buf holds
	line      int64 // of start
	offset    int64 // bytes before start
	err       error // of source; io.EOF at the end
	separator byte
	text      string // of the last record
	cells     []string
	bounds    []bounds
}

const initialBuffer = 256 << 10

// NewReader reads records from a source. It recognises the encodings that spreadsheets write besides UTF-8 and returns
// an error that wraps ErrEncoding for them; a byte order mark of UTF-8 is skipped.
func NewReader(source io.Reader) (*Reader, error) {
	r := &Reader{source: source, buf: make([]byte, initialBuffer), line: 1, separator: ','}
	for r.end < 4 && r.err == nil {
		r.fill()
	}
	if r.err != nil && !errors.Is(r.err, io.EOF) {
		return nil, r.err
	}
	head := r.buf[:r.end]
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), bytes.HasPrefix(head, []byte{0xfe, 0xff}),
		len(head) >= 4 && (head[0] == 0 || head[1] == 0):
		return nil, fmt.Errorf("%w but in UTF-16: save it as \"CSV UTF-8\", or convert it with iconv -f UTF-16 -t UTF-8", ErrEncoding)
	case bytes.HasPrefix(head, []byte{0xef, 0xbb, 0xbf}):
		r.start = 3
		r.offset = 3
	}
	return r, nil
}

// Offset is how many bytes of the source the records up to now took.
func (r *Reader) Offset() int64 { return r.offset }

// Text is the last record as it was written.
func (r *Reader) Text() string { return r.text }

// fill reads more, making room first.
func (r *Reader) fill() {
	if r.start > 0 && r.end == len(r.buf) {
		copy(r.buf, r.buf[r.start:r.end])
		r.end -= r.start
		r.start = 0
	}
	if r.end == len(r.buf) {
		grown := make([]byte, min(2*len(r.buf), MaxRecord+1))
		copy(grown, r.buf[:r.end])
		r.buf = grown
	}
	for range 100 { // as bufio: a source that gives nothing for so long is broken
		n, err := r.source.Read(r.buf[r.end:])
		r.end += n
		if err != nil {
			r.err = err
		}
		if n > 0 || err != nil {
			return
		}
	}
	r.err = io.ErrNoProgress
}

// Next returns the line and the cells of the next record. The cells stay valid; the slice does not. It returns a
// *RowError for a record that cannot be read, io.EOF at the end, and the source's error. Empty lines are skipped.
func (r *Reader) Next() (line int64, cells []string, err error) {
	for {
		size, complete := r.find()
		if !complete && r.err != nil && !errors.Is(r.err, io.EOF) {
			return 0, nil, r.err
		}
		if size == 0 && !complete {
			return 0, nil, io.EOF
		}
		if complete && isBlank(r.buf[r.start:r.start+size]) {
			r.consume(size, 1)
			continue
		}
		return r.record(size)
	}
}

// find looks for the end of the line at start, no further than a cell may reach: size includes the line break, which
// complete says is there.
func (r *Reader) find() (size int, complete bool) {
	for searched := 0; ; {
		if i := bytes.IndexByte(r.buf[r.start+searched:r.end], '\n'); i >= 0 {
			return searched + i + 1, true
		}
		searched = r.end - r.start
		if r.err != nil || searched > MaxCell {
			return searched, false
		}
		r.fill()
	}
}

func isBlank(line []byte) bool { return len(line) == 1 || len(line) == 2 && line[0] == '\r' }

func (r *Reader) consume(size int, lines int64) {
	r.start += size
	r.offset += int64(size)
	r.line += lines
}

// record reads the record whose first line has this size.
func (r *Reader) record(size int) (int64, []string, error) {
	line := r.line
	raw := r.buf[r.start : r.start+size]
	if size > MaxCell || bytes.IndexByte(raw, '"') >= 0 {
		return r.quoted() // the path that looks at every byte
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
	r.consume(size, 1)
	r.text = text
	r.cells = r.cells[:0]
	for {
		cell, rest, more := strings.Cut(text, string(r.separator))
		r.cells = append(r.cells, cell)
		if !more {
			break
		}
		text = rest
	}
	return r.check(line)
}

// check looks at the content of a record's cells.
func (r *Reader) check(line int64) (int64, []string, error) {
	for i, cell := range r.cells {
		reason := ""
		switch {
		case !utf8.ValidString(cell):
			reason = fmt.Sprintf("cell %d is not in UTF-8: the file mixes encodings, or is in another one; "+
				"convert it, such as with iconv -f WINDOWS-1252 -t UTF-8", i+1)
		case strings.IndexByte(cell, 0) >= 0:
			reason = fmt.Sprintf("cell %d contains a NUL character", i+1)
		default:
			continue
		}
		return 0, nil, &RowError{Line: line, Reason: reason, Record: excerpt(r.cells)}
	}
	return line, r.cells, nil
}

// excerptCell is how much of a cell a rejected record repeats, and excerptCells of how many cells.
const (
	excerptCell  = 1 << 10
	excerptCells = 1000
)

// excerpt copies a record for the report about it, in valid UTF-8 and with long cells cut.
func excerpt(cells []string) []string {
	cells = cells[:min(len(cells), excerptCells)]
	kept := make([]string, len(cells))
	for i, cell := range cells {
		cut := cell
		if len(cut) > excerptCell {
			cut = cut[:excerptCell] + "…"
		}
		kept[i] = strings.ReplaceAll(strings.ToValidUTF8(cut, "\uFFFD"), "\x00", "\uFFFD")
	}
	return kept
}
