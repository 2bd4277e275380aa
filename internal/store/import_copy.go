package store

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// copyChunk is how many bytes of rows are written at a time: PostgreSQL takes one chunk in while the next is made.
const copyChunk = 64 << 10

// copyText writes rows in the text format of COPY. Cells are appended one by one; endRow ends the row.
type copyText struct {
	buf   []byte
	begun bool // the current row has a cell
}

func (c *copyText) cell() {
	if c.begun {
		c.buf = append(c.buf, '\t')
	}
	c.begun = true
}

func (c *copyText) null() {
	c.cell()
	c.buf = append(c.buf, '\\', 'N')
}

func (c *copyText) int(n int64) {
	c.cell()
	c.buf = strconv.AppendInt(c.buf, n, 10)
}

func (c *copyText) bool(b bool) {
	c.cell()
	if b {
		c.buf = append(c.buf, 't')
	} else {
		c.buf = append(c.buf, 'f')
	}
}

func (c *copyText) text(s string) {
	c.cell()
	c.escape(s)
}

// textOrNull writes an empty text as null.
func (c *copyText) textOrNull(s string) {
	if s == "" {
		c.null()
		return
	}
	c.text(s)
}

// array writes an array of texts. Its elements are quoted for the array first and escaped for COPY then.
func (c *copyText) array(values []string) {
	c.cell()
	c.buf = append(c.buf, '{')
	for i, value := range values {
		if i > 0 {
			c.buf = append(c.buf, ',')
		}
		c.buf = append(c.buf, '"')
		if strings.ContainsAny(value, `"\`) {
			value = arrayQuotes.Replace(value)
		}
		c.escape(value)
		c.buf = append(c.buf, '"')
	}
	c.buf = append(c.buf, '}')
}

var arrayQuotes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func (c *copyText) escape(s string) {
	from := 0
	for i := range len(s) {
		var e byte
		switch s[i] {
		case '\\':
			e = '\\'
		case '\t':
			e = 't'
		case '\n':
			e = 'n'
		case '\r':
			e = 'r'
		default:
			continue
		}
		c.buf = append(c.buf, s[from:i]...)
		c.buf = append(c.buf, '\\', e)
		from = i + 1
	}
	c.buf = append(c.buf, s[from:]...)
}

func (c *copyText) endRow() {
	c.buf = append(c.buf, '\n')
	c.begun = false
}

// copyRows reads n rows as the text that COPY takes, made as they are asked for.
type copyRows struct {
	out  copyText
	sent int // bytes of out that have been read
	next int
	n    int
	row  func(i int, out *copyText)
}

// Read implements io.Reader.
func (r *copyRows) Read(p []byte) (int, error) {
	if r.sent == len(r.out.buf) {
		r.out.buf, r.sent = r.out.buf[:0], 0
		for r.next < r.n && len(r.out.buf) < copyChunk {
			r.row(r.next, &r.out)
			r.out.endRow()
			r.next++
		}
		if len(r.out.buf) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(p, r.out.buf[r.sent:])
	r.sent += n
	return n, nil
}

// copyIn copies n rows into columns of a table.
func copyIn(ctx context.Context, tx pgx.Tx, table string, columns []string, n int, row func(i int, out *copyText)) error {
	if n == 0 {
		return nil
	}
	quoted := make([]string, len(columns))
	for i, column := range columns {
		quoted[i] = sqlName(column)
	}
	statement := fmt.Sprintf("copy %s (%s) from stdin", sqlName(table), strings.Join(quoted, ", "))
	if _, err := tx.Conn().PgConn().CopyFrom(ctx, &copyRows{n: n, row: row}, statement); err != nil {
		return fmt.Errorf("copy rows into %s: %w", table, err)
	}
	return nil
}
