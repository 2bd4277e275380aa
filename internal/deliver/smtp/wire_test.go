package smtp

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/deliver"
)

func TestReadReply(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want reply
		err  string
	}{
		"one line":        {in: "250 2.1.0 ok\r\n", want: reply{code: 250, text: "2.1.0 ok"}},
		"code alone":      {in: "354\r\n", want: reply{code: 354}},
		"bare line feed":  {in: "250 ok\n", want: reply{code: 250, text: "ok"}},
		"several lines":   {in: "250-a\r\n250-\r\n250 b\r\n", want: reply{code: 250, text: "a  b"}},
		"other code":      {in: "250-a\r\n550 b\r\n", err: "code 550 follows 250"},
		"no code":         {in: "hello\r\n", err: "no code"},
		"code of 1xx":     {in: "150 x\r\n", err: "no code"},
		"four digits":     {in: "2500 x\r\n", err: "neither blank nor hyphen"},
		"nothing":         {in: "", err: "EOF"},
		"half a line":     {in: "250 o", err: "EOF"},
		"half a reply":    {in: "250-o\r\n", err: "EOF"},
		"empty line":      {in: "\r\n", err: "no code"},
		"escape sequence": {in: "550 \x1b]0;x\x07\xff\r\n", want: reply{code: 550, text: "?]0;x??"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readReply(bufio.NewReaderSize(strings.NewReader(tc.in), maxReplyLine), false)
			if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("error %v, want %q", err, tc.err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(reply{})); err == nil && diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-a\r\n250 b\r\n", "421 4.3.2 \xff\x1b\r\n", "250-\n250-\n", "999 x\r\n", strings.Repeat("220-x\r\n", 200)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := readReply(bufio.NewReaderSize(bytes.NewReader(in), maxReplyLine), true)
		if err != nil {
			return
		}
		if r.code < 200 || r.code > 599 || utf8.RuneCountInString(r.text) > maxReplyText || len(r.lines) > maxReplyLines || len(r.lines) == 0 {
			t.Errorf("%q: %+v", in, r)
		}
		for _, c := range r.text + r.codes() {
			if !unicode.IsPrint(c) {
				t.Errorf("%q: %q in the text", in, c)
			}
		}
		parseOffers(r.lines[1:])
	})
}

func TestEnhanced(t *testing.T) {
	for text, want := range map[string]string{
		"5.1.1 no such user": "5.1.1", "2.0.0": "2.0.0", "4.7.28 x": "4.7.28", "hello": "", "": "", "1.2.3 x": "", "5.1 x": "", "5.a.1 x": "", "ana@example.com 5.1.1": "",
	} {
		if got := (reply{text: text}).enhanced(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestParseOffers(t *testing.T) {
	got := parseOffers([]string{"PIPELINING", "size 1000", "AUTH PLAIN LOGIN", "AUTH=CRAM-MD5", "8bitmime", "SMTPUTF8", "STARTTLS", "X-OTHER a b", ""})
	want := offers{pipelining: true, eightBit: true, utf8: true, startTLS: true, sizes: true, size: 1000, auth: []string{"PLAIN", "LOGIN", "CRAM-MD5"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(offers{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// FuzzStuffed: what travels is the message with its line ends made CRLF, and nothing in it can end it.
func FuzzStuffed(f *testing.F) {
	for _, s := range []string{"a\r\nb\r\n", ".\r\n", "\r\n.\r\n", "\n.\n", "\r.\r", "a\n.\r\nb", "..", "", "a\r\r\n.\r\n", "x\r\n.\rMAIL FROM:<>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		stuffed := appendStuffed(nil, message)
		var got []byte
		for line := range bytes.SplitAfterSeq(stuffed, []byte("\r\n")) {
			if len(line) == 0 {
				continue
			}
			if bytes.Equal(line, []byte(".\r\n")) {
				t.Errorf("%q holds a final dot: %q", message, stuffed)
			}
			content, ended := bytes.CutSuffix(line, []byte("\r\n"))
			if !ended || bytes.ContainsAny(content, "\r\n") {
				t.Errorf("%q: line %q", message, line)
			}
			got = append(got, bytes.TrimPrefix(line, []byte("."))...)
		}
		want := strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(string(message))
		if want != "" && !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		if string(got) != want {
			t.Errorf("%q travels as %q, want %q", message, got, want)
		}
	})
}

func TestFlaw(t *testing.T) {
	for _, good := range []string{"a@b.c", "o'hara+x@example.com", "añá@example.com", `"x"@example.com`, "a@[192.0.2.1]"} {
		if why := deliver.AddressFlaw(good); why != "" {
			t.Errorf("%q: %s", good, why)
		}
	}
	for _, bad := range []string{"", "a", "a@", "@b", "a b@c", "a@b>", "a\r@b", "a@b\n", "a\u0085@b", "a\u2028@b", "\x00@b", strings.Repeat("a", 250) + "@b.cd"} {
		if deliver.AddressFlaw(bad) == "" {
			t.Errorf("%q is taken", bad)
		}
	}
}
