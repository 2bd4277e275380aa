package intake

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// readAll reads records as "line: cell|cell" and rejected ones as "line! reason".
func readAll(t testing.TB, source io.Reader, fields int) []string {
	t.Helper()
	r, err := NewReader(source)
	if err != nil {
		t.Fatal(err)
	}
	r.Fields = fields
	var got []string
	for {
		line, cells, err := r.Next()
		var rejected *RowError
		switch {
		case errors.Is(err, io.EOF):
			return got
		case errors.As(err, &rejected):
			got = append(got, fmt.Sprintf("%d! %s", rejected.Line, rejected.Reason))
		case err != nil:
			t.Fatal(err)
		default:
			got = append(got, fmt.Sprintf("%d: %s", line, strings.Join(cells, "|")))
		}
	}
}

func TestReader(t *testing.T) {
	big := strings.Repeat("x", 10<<20)
	lines := strings.Repeat("some text, of a letter\n", 500_000)
	for name, c := range map[string]struct {
		reason string
		text   string
		fields int
		want   []string
	}{
		"plain": {
			reason: "cells are split at commas, empty ones are kept, empty lines are not records",
			text:   "a,b,c\n1,,3\n\n,,\nx,y,z",
			want:   []string{"1: a|b|c", "2: 1||3", "4: ||", "5: x|y|z"},
		},
		"line breaks of Windows": {
			reason: "a carriage return before the line feed is part of the line break",
			text:   "a,b\r\n\r\n1,\"2\"\r\n\"3\",4\r\n",
			want:   []string{"1: a|b", "3: 1|2", "4: 3|4"},
		},
		"quotes": {
			reason: "a quoted cell holds separators, line breaks and doubled quotes; lines are counted through it",
			text:   "1,\"a,b\",\"c\nd\",\"e\"\"f\"\n2,,\"\",x\n",
			want:   []string{"1: 1|a,b|c\nd|e\"f", "3: 2|||x"},
		},
		"a byte order mark": {
			reason: "the mark that Excel writes is no part of the first cell",
			text:   "\xef\xbb\xbfa,b\n",
			want:   []string{"1: a|b"},
		},
		"an empty file": {reason: "no record is no error", text: ""},
		"a stray quote": {
			reason: "one line is lost, not the file",
			text:   "1,\"Ana,x\n2,Luis,y\n3,Eva,z\n",
			fields: 3,
			want:   []string{`1! the quote that opens cell 2 is never closed`, "2: 2|Luis|y", "3: 3|Eva|z"},
		},
		"a stray quote before other quotes": {
			reason: "the next quote does not close it",
			text:   "1,\"Ana,x\n2,\"Luis\",y\n",
			want:   []string{`1! cell 2 goes on after its closing quote: write quotes within a cell twice`, "2: 2|Luis|y"},
		},
		"a stray quote in a long file": {
			reason: "a cell that swallows lines which look like records was opened by mistake",
			text:   "1,\"Ana,x\n" + strings.Repeat("2,Luis,y\n", 10_000)[:90_000-1] + "\n3,Eva,z\n",
			fields: 3,
			want:   append(append([]string{`1! the quote that opens cell 2 is not closed on its line`}, numbered(2, 10_000, "2|Luis|y")...), "10002: 3|Eva|z"),
		},
		"a quote in the middle": {
			reason: "what an unquoted quote means is doubtful",
			text:   "1,a\"b,c\n2,a,c\n",
			want:   []string{`1! cell 2 has a quote in its middle: put the whole cell in quotes and write quotes in it twice`, "2: 2|a|c"},
		},
		"a cell of 10 MB": {
			reason: "the record is dropped without being held, the next one is read",
			text:   "1,ok\n2," + big + "\n3,ok\n",
			want:   []string{"1: 1|ok", "2! cell 2 is longer than 64 KiB: shorten it, or leave its column out", "3: 3|ok"},
		},
		"a quoted cell of 10 MB with line breaks": {
			reason: "the record ends where its quote closes, lines are counted through it",
			text:   "1,ok\n2,\"" + lines + "\"\n3,ok\n",
			fields: 9,
			want:   []string{"1: 1|ok", "2! cell 2 is longer than 64 KiB: shorten it, or leave its column out", "500003: 3|ok"},
		},
		"a cell of 10 MB after a quote out of place": {
			reason: "the rest of the line goes with it",
			text:   "1,a\"b," + big + "\n3,ok\n",
			want:   []string{"1! cell 2 has a quote in its middle: put the whole cell in quotes and write quotes in it twice", "2: 3|ok"},
		},
		"a record of 10 MB": {
			reason: "many cells are bounded too",
			text:   strings.Repeat("a,", 5<<20) + "\n3,ok\n",
			want:   []string{"1! the record is longer than 1024 KiB", "2: 3|ok"},
		},
		"an unclosed cell of 10 MB": {
			reason: "nothing follows that could be read",
			text:   "1,ok\n2,\"" + big,
			want:   []string{"1: 1|ok", "2! cell 2 is longer than 64 KiB: shorten it, or leave its column out"},
		},
		"mixed encodings": {
			reason: "a line of Latin-1 among lines of UTF-8 is told apart",
			text:   "1,Jos\xe9\n2,José\n",
			want: []string{
				"1! cell 2 is not in UTF-8: the file mixes encodings, or is in another one; convert it, such as with iconv -f WINDOWS-1252 -t UTF-8",
				"2: 2|José",
			},
		},
		"a NUL": {
			reason: "PostgreSQL has no such character",
			text:   "1,a\x00b\n2,ab\n",
			want:   []string{"1! cell 2 contains a NUL character", "2: 2|ab"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for how, source := range map[string]io.Reader{
				"at once": strings.NewReader(c.text), "with the end at once": iotest.DataErrReader(strings.NewReader(c.text)),
				"by halves": iotest.HalfReader(strings.NewReader(c.text)),
			} {
				if diff := cmp.Diff(c.want, readAll(t, source, c.fields)); diff != "" {
					t.Errorf("%s\n%s: -want +got:\n%s", c.reason, how, diff)
				}
			}
		})
	}
}

func numbered(from, n int, record string) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("%d: %s", from+i, record)
	}
	return lines
}

func TestReaderTellsEncodings(t *testing.T) {
	for name, text := range map[string]string{
		"UTF-16, little-endian":              "\xff\xfea\x00,\x00",
		"UTF-16, big-endian":                 "\xfe\xff\x00a\x00,",
		"UTF-16, little-endian without mark": "a\x00,\x00",
		"UTF-16, big-endian without mark":    "\x00a\x00,",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewReader(strings.NewReader(text)); !errors.Is(err, ErrEncoding) {
				t.Errorf("got %v, want ErrEncoding", err)
			}
		})
	}
}

func TestReaderReturnsTheSourcesError(t *testing.T) {
	broken := errors.New("the connection broke")
	for name, text := range map[string]string{
		"in a record": "1,ok\n2,o", "in a quoted cell": "1,ok\n2,\"o", "in a long cell": "1,ok\n2," + strings.Repeat("x", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := NewReader(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := r.Next(); err != nil {
				t.Fatalf("the first record: %v", err)
			}
			if _, _, err := r.Next(); !errors.Is(err, broken) {
				t.Errorf("got %v, want the source's error: half a record is none", err)
			}
		})
	}
}

// FuzzReader checks that no input makes the reader fail, stand still or lose count, and that it reads what the standard
// library reads wherever that reads everything.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "\"a\"\"b\",c\r\n\n\"x\ny\",z", "a,\"b\nc,d\n", "\xef\xbb\xbfa\n", "a\"b\n", "\"a\"\r\r\n", "\xff,\x00\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := NewReader(iotest.OneByteReader(strings.NewReader(text)))
		if err != nil {
			return
		}
		var got [][]string
		clean := true
		for {
			before := r.Offset()
			_, cells, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			var rejected *RowError
			switch {
			case errors.As(err, &rejected):
				clean = false
			case err != nil:
				t.Fatal(err)
			default:
				got = append(got, append([]string(nil), cells...))
			}
			if r.Offset() <= before {
				t.Fatalf("stood still at byte %d", before)
			}
		}
		if r.Offset() != int64(len(text)) {
			t.Errorf("%d of %d bytes were read", r.Offset(), len(text))
		}
		standard := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\xef\xbb\xbf")))
		standard.FieldsPerRecord = -1
		want, err := standard.ReadAll()
		// Within quotes the standard library turns \r\n into \n; we keep cells as they are.
		if err != nil || !clean || strings.Contains(text, "\r") {
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-standard library +ours:\n%s", diff)
		}
	})
}
