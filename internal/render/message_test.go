package render

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func envelope() Envelope {
	return Envelope{
		From: "Veló Ciclismo <hola@velo.example>", ReplyTo: "ayuda@velo.example", To: "ana@example.com",
		MessageID: MessageID([]byte("key"), 7, 12, "", "velo.example"),
		Date:      time.Date(2027, 3, 21, 9, 0, 0, 0, time.FixedZone("CET", 3600)), UnsubscribeURL: "https://velo.example/u/abc", OneClick: true,
	}
}

// parsed reads a message by the standard library's parsers.
func parsed(t *testing.T, message []byte) (header mail.Header, parts map[string]string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		t.Fatalf("read message: %v\n%s", err, message)
	}
	parts = map[string]string{}
	mediaType, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(mediaType, "multipart/") {
		body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		if err != nil {
			t.Fatal(err)
		}
		parts[mediaType] = string(body)
		return m.Header, parts
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextPart() // decodes quoted-printable
		if errors.Is(err, io.EOF) {
			return m.Header, parts
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		parts[p.Header.Get("Content-Type")] = string(body)
	}
}

func TestCompose(t *testing.T) {
	r := Rendered{Subject: "¡Añá, vuelve la primavera!", HTML: "<p>Hé = 1</p>\n" + strings.Repeat("largo ", 40) + "\n.\nfin \n", Text: "Hé\n.\nfin"}
	message, err := Compose(envelope(), r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Compose(envelope(), r)
	if err != nil || !bytes.Equal(message, again) {
		t.Fatalf("the same input gave other bytes: %v", err)
	}
	header, parts := parsed(t, message)
	crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	want := map[string]string{"text/plain; charset=utf-8": crlf(r.Text) + "\r\n", "text/html; charset=utf-8": crlf(r.HTML) + "\r\n"}
	for k := range want { // the line end before a boundary belongs to the boundary
		want[k] = strings.TrimSuffix(want[k], "\r\n") + "\r\n"
	}
	if diff := cmp.Diff(want, parts); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
	if err != nil || subject != r.Subject {
		t.Errorf("subject %q %v", subject, err)
	}
	for name, value := range map[string]string{
		"From": "=?utf-8?q?Vel=C3=B3_Ciclismo?= <hola@velo.example>", "To": "<ana@example.com>", "Reply-To": "<ayuda@velo.example>",
		"Date": "Sun, 21 Mar 2027 09:00:00 +0100", "Message-Id": envelope().MessageID, "Mime-Version": "1.0",
		"List-Unsubscribe": "<https://velo.example/u/abc>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
	} {
		if got := header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	checkLines(t, message)
}

// checkLines: CRLF only, seven bits, no line over 78 characters.
func checkLines(t *testing.T, message []byte) {
	t.Helper()
	for line := range bytes.SplitSeq(bytes.TrimSuffix(message, []byte("\r\n")), []byte("\r\n")) {
		if len(line) > 78 {
			t.Errorf("line of %d bytes: %q", len(line), line)
		}
		for _, c := range line {
			if c >= 0x7f || c < ' ' && c != '\t' {
				t.Errorf("byte %#x in %q", c, line)
			}
		}
	}
}

func TestComposeShapes(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(*Envelope)
		r      Rendered
		want   map[string]string
		absent []string
	}{
		"text only": {
			"one part needs no multipart", func(*Envelope) {},
			Rendered{Subject: "s", Text: "hi"},
			map[string]string{"text/plain": "hi\r\n"},
			nil,
		},
		"HTML only": {"likewise", func(*Envelope) {}, Rendered{Subject: "s", HTML: "hi"}, map[string]string{"text/html": "hi\r\n"}, nil},
		"no list": {
			"a message that is none of a list", func(e *Envelope) { e.UnsubscribeURL, e.OneClick, e.ReplyTo = "", false, "" },
			Rendered{Subject: "s", Text: "hi"},
			map[string]string{"text/plain": "hi\r\n"},
			[]string{"List-Unsubscribe", "List-Unsubscribe-Post", "Reply-To"},
		},
		"no one-click": {
			"without DKIM mail clients must not be told to post", func(e *Envelope) { e.OneClick = false },
			Rendered{Subject: "s", Text: "hi"},
			map[string]string{"text/plain": "hi\r\n"},
			[]string{"List-Unsubscribe-Post"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := envelope()
			tc.change(&e)
			message, err := Compose(e, tc.r)
			if err != nil {
				t.Fatal(err)
			}
			header, parts := parsed(t, message)
			if diff := cmp.Diff(tc.want, parts); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			for _, name := range tc.absent {
				if header.Get(name) != "" {
					t.Errorf("%s: %s is there", tc.reason, name)
				}
			}
		})
	}
}

func TestComposeRefuses(t *testing.T) {
	for name, change := range map[string]func(*Envelope){
		"sender with line break":      func(e *Envelope) { e.From = "x@y.z\r\nBcc: all@example.com" },
		"no sender":                   func(e *Envelope) { e.From = "" },
		"reply address":               func(e *Envelope) { e.ReplyTo = "nobody" },
		"recipient with line break":   func(e *Envelope) { e.To = "x@y.z\r\nBcc: all@example.com" },
		"recipient with bracket":      func(e *Envelope) { e.To = "x@y.z>, <all@example.com" },
		"Message-ID with line break":  func(e *Envelope) { e.MessageID = "<a@b>\r\nBcc: x@y.z" },
		"Message-ID without brackets": func(e *Envelope) { e.MessageID = "a@b.example" },
		"no date":                     func(e *Envelope) { e.Date = time.Time{} },
		"URL with line break":         func(e *Envelope) { e.UnsubscribeURL = "https://a.example/\r\nX: y" },
		"URL with bracket":            func(e *Envelope) { e.UnsubscribeURL = "https://a.example/>,<mailto:x@y.z" },
		"URL of another scheme":       func(e *Envelope) { e.UnsubscribeURL = "javascript:alert(1)" },
		"one-click in clear":          func(e *Envelope) { e.UnsubscribeURL = "http://a.example/u" },
		"endless URL":                 func(e *Envelope) { e.UnsubscribeURL = "https://a.example/" + strings.Repeat("x", 1000) },
	} {
		t.Run(name, func(t *testing.T) {
			e := envelope()
			change(&e)
			if message, err := Compose(e, Rendered{Subject: "s", Text: "t"}); err == nil {
				t.Errorf("composed:\n%s", message)
			}
		})
	}
}

func FuzzCompose(f *testing.F) {
	f.Add("Hi", "<p>x</p>", "x", "ana@example.com")
	f.Add("¡Añá!\r\nBcc: x@y.z", "=\t \r\n.\r\n", strings.Repeat("ñ ", 99)+"\n", "ñ@example.com")
	f.Add("=?utf-8?q?a?=", strings.Repeat("x", 75)+" ", "a\rb", "\"a b\"@example.com")
	f.Fuzz(func(t *testing.T, subject, html, text, to string) {
		e := envelope()
		e.To = to
		message, err := Compose(e, Rendered{Subject: subject, HTML: html, Text: text})
		if err != nil || !utf8.ValidString(subject) {
			return
		}
		if utf8.RuneCountInString(to) == len(to) && len(to) < 60 {
			checkLines(t, message)
		}
		header, _ := parsed(t, message)
		if len(header) > 12 {
			t.Errorf("a header was added: %v", header)
		}
		got, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
		if err != nil || strings.TrimSpace(got) != oneLine(subject) {
			t.Errorf("subject %q became %q: %v", oneLine(subject), got, err)
		}
	})
}

func FuzzQuotedPrintable(f *testing.F) {
	f.Add("a\r\nb \n\tc\t\r=é")
	f.Add(strings.Repeat("x", 74) + " \n" + strings.Repeat("y", 75) + "\n" + strings.Repeat("z", 76) + " ")
	f.Fuzz(func(t *testing.T, s string) {
		encoded := appendQuotedPrintable(nil, s)
		for line := range bytes.SplitSeq(encoded, []byte("\r\n")) {
			if len(line) > maxLine || bytes.HasSuffix(line, []byte(" ")) || bytes.HasSuffix(line, []byte("\t")) {
				t.Errorf("%q: line %q", s, line)
			}
		}
		decoded, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(encoded)))
		if err != nil {
			t.Fatal(err)
		}
		want := strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(s)
		if string(decoded) != want {
			t.Errorf("%q became %q", want, decoded)
		}
	})
}

func BenchmarkCompose(b *testing.B) {
	r := Rendered{Subject: "Vuelve la primavera", HTML: strings.Repeat("<p>Some text with a few letters, ñandú.</p>\n", 200), Text: strings.Repeat("Some text.\n", 100)}
	e := envelope()
	for b.Loop() {
		if _, err := Compose(e, r); err != nil {
			b.Fatal(err)
		}
	}
}
