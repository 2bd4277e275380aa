package intake

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// scanState is where in a record the scanner stands.
type scanState int8

const (
	cellStart   scanState = iota
	inBare                // in a cell without quotes
	inQuotes              // in a quoted cell
	afterQuote            // after a quote in a quoted cell: its end, or the first of two
	afterReturn           // after the carriage return that follows a closing quote
	recordEnd
)

// scan is the look at a record that has quotes. Positions count from the record's beginning.
type scan struct {
	state  scanState
	pos    int
	cells  []bounds
	open   bounds // the cell at pos
	lines  int64  // line breaks passed
	reason string // why the record is refused; "" when it is not
}

// bounds are a cell's place, without its quotes.
type bounds struct {
	from, to int
	quoted   bool
	doubled  bool // it has quotes that are written twice
}

// quoted reads a record that has quotes, and so may have line breaks within its cells.
//
// A quote out of place makes it doubtful where the record ends. Then its first line alone is rejected and reading goes
// on with the second: a lost quote costs one line, not the rest of the file.
func (r *Reader) quoted() (int64, []string, error) {
	line := r.line
	s := &scan{cells: r.bounds[:0]}
	for !s.done() {
		if r.start+s.pos == r.end && r.err == nil {
			r.fill()
			continue
		}
		if r.start+s.pos == r.end {
			if !errors.Is(r.err, io.EOF) {
				return 0, nil, r.err
			}
			s.end()
			break
		}
		s.step(r.buf[r.start+s.pos], r.separator)
		if s.pos-s.open.from > MaxCell || s.pos > MaxRecord {
			return r.tooLong(s)
		}
	}
	r.bounds = s.cells
	if s.reason != "" {
		return 0, nil, r.rejectLine(s)
	}
	r.decode(s)
	r.consume(s.pos, s.lines)
	return r.check(line)
}

// done says that the record has ended, well or not.
func (s *scan) done() bool { return s.state == recordEnd || s.reason != "" }

func (s *scan) step(c, separator byte) {
	s.pos++
	if c == '\n' {
		s.lines++
	}
	switch s.state {
	case cellStart:
		s.open = bounds{from: s.pos - 1}
		if c == '"' {
			s.state, s.open = inQuotes, bounds{from: s.pos, quoted: true}
			return
		}
		s.state = inBare
		s.bare(c, separator)
	case inBare:
		s.bare(c, separator)
	case inQuotes:
		if c == '"' {
			s.state, s.open.to = afterQuote, s.pos-1
		}
	case afterQuote:
		s.quote(c, separator)
	case afterReturn:
		if c != '\n' {
			s.goesOn()
			return
		}
		s.close(s.open.to, recordEnd)
	}
}

func (s *scan) bare(c, separator byte) {
	switch c {
	case separator:
		s.close(s.pos-1, cellStart)
	case '\n':
		s.close(s.pos-1, recordEnd)
	case '"':
		s.reason = fmt.Sprintf("cell %d has a quote in its middle: put the whole cell in quotes and write quotes in it twice", len(s.cells)+1)
	}
}

func (s *scan) quote(c, separator byte) {
	switch c {
	case '"':
		s.state, s.open.doubled = inQuotes, true
	case separator:
		s.close(s.open.to, cellStart)
	case '\n':
		s.close(s.open.to, recordEnd)
	case '\r':
		s.state = afterReturn
	default:
		s.goesOn()
	}
}

func (s *scan) goesOn() {
	s.reason = fmt.Sprintf("cell %d goes on after its closing quote: write quotes within a cell twice", len(s.cells)+1)
}

func (s *scan) close(to int, next scanState) {
	s.open.to = to
	s.cells = append(s.cells, s.open)
	s.state = next
}

// end takes the end of the file for the end of the record.
func (s *scan) end() {
	switch s.state {
	case cellStart:
		s.open = bounds{from: s.pos}
		s.close(s.pos, recordEnd)
	case inBare:
		s.close(s.pos, recordEnd)
	case afterQuote, afterReturn:
		s.close(s.open.to, recordEnd)
	case inQuotes:
		s.reason = fmt.Sprintf("the quote that opens cell %d is never closed", len(s.cells)+1)
	}
}

// decode takes the cells out of the buffer.
func (r *Reader) decode(s *scan) {
	text := string(r.buf[r.start : r.start+s.pos])
	r.text = text
	r.cells = r.cells[:0]
	for _, b := range s.cells {
		cell := text[b.from:b.to]
		switch {
		case b.doubled:
			cell = strings.ReplaceAll(cell, `""`, `"`)
		case !b.quoted && b.to+1 >= len(text): // the last one: the line break may be two characters
			cell = strings.TrimSuffix(cell, "\r")
		}
		r.cells = append(r.cells, cell)
	}
}

// rejectLine gives up the first line of a record and returns why, or the source's error.
func (r *Reader) rejectLine(s *scan) error {
	seen := r.buf[r.start:r.end]
	end := bytes.IndexByte(seen, '\n')
	if end >= 0 {
		seen = seen[:end]
	}
	rejected := &RowError{Line: r.line, Reason: s.reason, Record: excerpt(strings.Split(strings.TrimSuffix(string(seen), "\r"), string(r.separator)))}
	if end >= 0 {
		r.consume(end+1, 1)
		return rejected
	}
	if err := r.skip(len(seen), 0, noQuotes); err != nil {
		return err
	}
	return rejected
}

// tooLong gives up a record that passed a bound in the middle. A quoted cell that swallowed lines which look like
// records by themselves was opened by a stray quote: only its first line is given up.
func (r *Reader) tooLong(s *scan) (int64, []string, error) {
	s.reason = fmt.Sprintf("cell %d is longer than %d KiB: shorten it, or leave its column out", len(s.cells)+1, MaxCell>>10)
	if s.pos > MaxRecord {
		s.reason = fmt.Sprintf("the record is longer than %d KiB", MaxRecord>>10)
	}
	if s.lines > 0 && r.looksLikeRecords() {
		s.reason = fmt.Sprintf("the quote that opens cell %d is not closed on its line", len(s.cells)+1)
		return 0, nil, r.rejectLine(s)
	}
	s.open.to = s.pos
	s.cells = append(s.cells, s.open)
	r.decode(s)
	rejected := &RowError{Line: r.line, Reason: s.reason, Record: excerpt(r.cells)}
	state := bare
	if s.state == inQuotes {
		state = quoted
	}
	if err := r.skip(s.pos, s.lines, state); err != nil {
		return 0, nil, err
	}
	return 0, nil, rejected
}

// looksLikeRecords tells whether the second and third line in the buffer have as many cells as the file's header.
func (r *Reader) looksLikeRecords() bool {
	if r.Fields < 2 {
		return false
	}
	lines := bytes.SplitN(r.buf[r.start:r.end], []byte{'\n'}, 4)
	if len(lines) < 4 {
		return false
	}
	for _, line := range lines[1:3] {
		if bytes.Count(line, []byte{r.separator}) != r.Fields-1 {
			return false
		}
	}
	return true
}

// quoting is where skipping begins: outside quotes, within them, or on a line whose quotes mean nothing.
type quoting int8

const (
	bare quoting = iota
	quoted
	noQuotes
)

// skip drops a record of which pos bytes and some line breaks have been seen, a buffer at a time.
func (r *Reader) skip(pos int, lines int64, state quoting) error {
	r.consume(pos, lines)
	for {
		for i, c := range r.buf[r.start:r.end] {
			switch {
			case c == '"' && state != noQuotes:
				state = quoted - state
			case c == '\n' && state == quoted:
				r.line++
			case c == '\n':
				r.consume(i+1, 1)
				return nil
			}
		}
		r.consume(r.end-r.start, 0)
		if errors.Is(r.err, io.EOF) {
			return nil
		}
		if r.err != nil {
			return r.err
		}
		r.start, r.end = 0, 0
		r.fill()
	}
}
