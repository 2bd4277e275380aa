package store

import (
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgproto3"
)

// AnswerTooLongError says that a server sent more in answer to one request than its caller takes.
type AnswerTooLongError struct{ Limit int }

// Error implements error.
func (e *AnswerTooLongError) Error() string {
	return fmt.Sprintf("the database answers with more than %d bytes", e.Limit)
}

// limitAnswers makes the driver's side of the protocol refuse an answer of more than limit bytes, whatever it consists of:
// rows, notices, or one message that claims to be long, for which the driver would make room before it comes.
func limitAnswers(limit int) func(io.Reader, io.Writer) *pgproto3.Frontend {
	return func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		c := &counted{reader: r, writer: w, limit: limit}
		f := pgproto3.NewFrontend(c, c)
		f.SetMaxBodyLen(limit)
		return f
	}
}

// counted is a connection that counts what came since something was last asked.
type counted struct {
	reader io.Reader
	writer io.Writer
	limit  int
	came   int
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	if c.came > c.limit {
		if conn, ok := c.writer.(io.Closer); ok {
			_ = conn.Close() // the driver would read on for a while, to end in good manners
		}
		return 0, &AnswerTooLongError{Limit: c.limit}
	}
	n, err := c.reader.Read(p)
	c.came += n
	return n, err
}

// Write implements io.Writer.
func (c *counted) Write(p []byte) (int, error) {
	c.came = 0
	return c.writer.Write(p)
}
