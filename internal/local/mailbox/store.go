package mailbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Two files hold the mail. mail.log is the truth: for each message a line of JSON (an envelope), the message as it came, and a
// line break. mail.idx has one line of JSON for each message: what lists and searches need, and where the message is. The
// index is derived: what it lacks, or all of it, is read again from the log.
const (
	logName   = "mail.log"
	indexName = "mail.idx"
)

// ErrNotFound is returned for an id that no message has.
var ErrNotFound = errors.New("no such message")

// errTorn marks the place where a process was killed, or the machine crashed, in the middle of a write.
var errTorn = errors.New("torn record")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// envelope precedes a message in the log.
type envelope struct {
	ID       int64     `json:"id"`
	Received time.Time `json:"received"`
	From     string    `json:"from"`
	To       []string  `json:"to"`
	Size     int       `json:"size"`
	CRC      uint32    `json:"crc"`
}

// Entry is what the index knows of a message.
type Entry struct {
	// ID counts messages from 1 in the order of their arrival.
	ID int64 `json:"id"`
	// Received is when the message was accepted.
	Received time.Time `json:"received"`
	// From and To are the envelope's addresses; a bounce's From is empty.
	From string   `json:"from"`
	To   []string `json:"to"`
	// Subject and MessageID are those of the header; the subject is decoded.
	Subject   string `json:"subject"`
	MessageID string `json:"messageId"`
	// Size is the message's, in bytes.
	Size int `json:"size"`
}

// indexed is an entry with the place of its message.
type indexed struct {
	Entry
	Offset int64 `json:"offset"` // of the message itself, after its envelope
}

// end is where the next record begins.
func (i indexed) end() int64 { return i.Offset + int64(i.Size) + 1 }

// Store keeps messages for ever, in the order in which they came. Its methods may be called by several goroutines.
type Store struct {
	mu      sync.RWMutex
	log     *os.File
	index   *os.File
	entries []indexed // entries[i] has id i+1
	end     int64     // of the log
	broken  error     // a write failed: what is on disk may be torn, so nothing is accepted until it is opened again
	closed  bool
}

// OpenStore opens the mail in a folder, which is made when it is missing, and drops a message that was being written when its
// process ended (it was never acknowledged).
func OpenStore(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the mailbox: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(dir, logName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the mailbox: %w", err)
	}
	index, err := os.OpenFile(filepath.Join(dir, indexName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the mailbox's index: %w", err), log.Close())
	}
	s := &Store{log: log, index: index}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the mailbox in %s: %w", dir, err), s.Close())
	}
	return s, nil
}

// load reads the index, then whatever the log has beyond it, and cuts torn ends off both.
func (s *Store) load() error {
	size, err := s.log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	indexEnd, err := s.readIndex(size)
	if err != nil {
		return err
	}
	if err := truncate(s.index, indexEnd); err != nil {
		return err
	}
	for s.end < size {
		entry, err := s.readRecord(s.end, size)
		if errors.Is(err, errTorn) {
			break
		}
		if err != nil {
			return err
		}
		if err := s.addToIndex(entry); err != nil {
			return err
		}
	}
	return truncate(s.log, s.end)
}

// readIndex takes the index's lines for as long as they follow one another, and returns where it stopped.
func (s *Store) readIndex(logSize int64) (int64, error) {
	reader := bufio.NewReaderSize(s.index, 1<<20)
	var good int64
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return good, nil
		}
		if err != nil {
			return 0, err
		}
		var entry indexed
		if json.Unmarshal(line, &entry) != nil || entry.ID != int64(len(s.entries))+1 || entry.Offset < s.end || entry.end() > logSize {
			return good, nil
		}
		s.entries, s.end = append(s.entries, entry), entry.end()
		good += int64(len(line))
	}
}

// readRecord reads the record at offset whole, because only its checksum tells whether it was written whole.
func (s *Store) readRecord(offset, logSize int64) (indexed, error) {
	reader := bufio.NewReader(io.NewSectionReader(s.log, offset, logSize-offset))
	line, err := reader.ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		return indexed{}, errTorn
	}
	if err != nil {
		return indexed{}, err
	}
	var e envelope
	if json.Unmarshal(line, &e) != nil || e.ID != int64(len(s.entries))+1 || offset+int64(len(line)+e.Size+1) > logSize {
		return indexed{}, errTorn
	}
	message := make([]byte, e.Size+1)
	if _, err := io.ReadFull(reader, message); err != nil {
		return indexed{}, err
	}
	if crc32.Checksum(message[:e.Size], castagnoli) != e.CRC {
		return indexed{}, errTorn
	}
	return newIndexed(e, message[:e.Size], offset+int64(len(line))), nil
}

func newIndexed(e envelope, message []byte, offset int64) indexed {
	subject, messageID := listedFields(message)
	return indexed{
		Entry: Entry{
			ID: e.ID, Received: e.Received, From: e.From, To: e.To, Subject: subject, MessageID: messageID, Size: e.Size,
		},
		Offset: offset,
	}
}

func truncate(file *os.File, size int64) error {
	if err := file.Truncate(size); err != nil {
		return err
	}
	_, err := file.Seek(size, io.SeekStart)
	return err
}

// Append keeps a message and returns its id once the operating system has it: killing this process after that loses nothing.
// (A power failure may lose the last seconds; a local mailbox is no place for fsync on each message.)
func (s *Store) Append(received time.Time, from string, to []string, message []byte) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errors.New("keep a message: the mailbox is closed")
	}
	if s.broken != nil {
		return 0, fmt.Errorf("keep a message: an earlier write failed: %w", s.broken)
	}
	e := envelope{
		ID: int64(len(s.entries)) + 1, Received: received.UTC(), From: from, To: to,
		Size: len(message), CRC: crc32.Checksum(message, castagnoli),
	}
	head, err := json.Marshal(e)
	if err != nil {
		return 0, fmt.Errorf("keep a message: %w", err)
	}
	record := bytes.Join([][]byte{head, message}, []byte("\n"))
	if _, err := s.log.Write(append(record, '\n')); err != nil {
		s.broken = err
		return 0, fmt.Errorf("keep a message: %w", err)
	}
	if err := s.addToIndex(newIndexed(e, message, s.end+int64(len(head))+1)); err != nil {
		s.broken = err
		return 0, fmt.Errorf("keep a message: %w", err)
	}
	return e.ID, nil
}

func (s *Store) addToIndex(entry indexed) error {
	line, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	if _, err := s.index.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write the index: %w", err)
	}
	s.entries, s.end = append(s.entries, entry), entry.end()
	return nil
}

// Message returns a message as it came, with its entry.
func (s *Store) Message(id int64) (Entry, []byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if id < 1 || id > int64(len(s.entries)) {
		return Entry{}, nil, fmt.Errorf("message %d: %w", id, ErrNotFound)
	}
	entry := s.entries[id-1]
	message := make([]byte, entry.Size)
	if _, err := s.log.ReadAt(message, entry.Offset); err != nil {
		return Entry{}, nil, fmt.Errorf("read message %d: %w", id, err)
	}
	return entry.Entry, message, nil
}

// Len is how many messages there are.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.entries)
}

// Close gives the files back. What was acknowledged is in them already.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return errors.Join(s.log.Close(), s.index.Close())
}
