package sink

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
)

// The record is a file of lines, each written with one call and before the sink says anything of it, so that it holds after a
// kill what the sink knew, and perhaps an answer that nobody heard:
//
//	dot <id> <recipient> <person>    the final dot of a message came; of one that was posted, with its stable id at the end
//	answer <id> <code>               it was answered so
//	hang <connection>                the sink says nothing more on a connection
const (
	lineDot    = "dot"
	lineAnswer = "answer"
	lineHang   = "hang"
)

// Entry is a message whose final dot came.
type Entry struct {
	To      string
	Person  int    // the number in its subject
	Message string // the stable id of a message that was posted; "" of mail
	Answer  int    // the code of the answer; 0 where none was given
}

// Acknowledged tells whether the sink has said that it took the message.
func (e Entry) Acknowledged() bool { return e.Answer >= 200 && e.Answer < 300 }

// Refused tells whether the sink has said that it did not take the message.
func (e Entry) Refused() bool { return e.Answer >= 400 }

// Record reads what a sink has written down, also while the sink is dead.
type Record struct {
	path string

	mu      sync.Mutex
	offset  int64
	rest    []byte // of a line that is not whole yet
	entries []Entry
	open    map[string]int // dots without an answer, by id
	hanging int
}

// NewRecord reads the record at a path, which need not be there yet.
func NewRecord(path string) *Record { return &Record{path: path, open: map[string]int{}} }

// Counts are of what a record holds.
type Counts struct {
	Dots    int // messages whose final dot came
	Open    int // of those, which have not been answered
	Hanging int // connections on which the sink has fallen silent
}

// Counts reads what is new and counts.
func (r *Record) Counts() (Counts, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.read()
	return Counts{Dots: len(r.entries), Open: len(r.open), Hanging: r.hanging}, err
}

// Entries reads what is new and returns all of it, in the order of arrival.
func (r *Record) Entries() ([]Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.read()
	return r.entries, err
}

func (r *Record) read() error {
	file, err := os.Open(r.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the sink's record: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	content, err := io.ReadAll(io.NewSectionReader(file, r.offset, 1<<40))
	if err != nil {
		return fmt.Errorf("read the sink's record: %w", err)
	}
	r.offset += int64(len(content))
	content = append(r.rest, content...)
	for {
		line, rest, whole := bytes.Cut(content, []byte("\n"))
		if !whole {
			r.rest = bytes.Clone(content)
			return nil
		}
		if err := r.take(string(line)); err != nil {
			return err
		}
		content = rest
	}
}

func (r *Record) take(line string) error {
	fields := strings.Fields(line)
	switch {
	case (len(fields) == 4 || len(fields) == 5) && fields[0] == lineDot:
		r.open[fields[1]] = len(r.entries)
		person, err := strconv.Atoi(fields[3])
		if err != nil {
			return fmt.Errorf("read the sink's record: %q: %w", line, err)
		}
		r.entries = append(r.entries, Entry{To: fields[2], Person: person, Message: strings.Join(fields[4:], "")})
		return nil
	case len(fields) == 3 && fields[0] == lineAnswer:
		at, ok := r.open[fields[1]]
		code, err := strconv.Atoi(fields[2])
		if !ok || err != nil {
			return fmt.Errorf("read the sink's record: %q answers nothing", line)
		}
		r.entries[at].Answer = code
		delete(r.open, fields[1])
		return nil
	case len(fields) == 2 && fields[0] == lineHang:
		r.hanging++
		return nil
	}
	return fmt.Errorf("read the sink's record: it holds the line %q", line)
}
