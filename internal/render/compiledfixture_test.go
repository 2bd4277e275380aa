package render

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func outside() Outside {
	return Outside{
		From: "Veló Ciclismo <hola@velo.example>", ReplyTo: "ayuda@velo.example", Domain: "velo.example", PublicURL: "https://crm.velo.example",
		OneClick: true, Zone: time.FixedZone("CET", 3600), Send: 7, Signer: NewSigner(linkKey), Tenant: map[string]any{"display_name": "Velo"},
		Fields: []string{"first_name", "plan", "points", "value", "born", "seen", "evil"},
	}
}

var morning = time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)

func ana() Recipient {
	return Recipient{
		Address: "ana@example.com", Seq: 12, Contact: 128256, Locale: "es", TimeZone: "Europe/Madrid", Tags: []string{"road", "gravel"},
		Values: []any{"Añá <b>", "club", int64(7), 1234567.5, "1990-02-03", morning, nil}, Date: morning,
	}
}

// varsOf are the variables that a recipient is for Template.Render.
func varsOf(o Outside, r Recipient) Vars {
	return VarsOf(r, o.Fields, o.Tenant, o.PublicURL+"/u/"+SignUnsubscribe(linkKey, o.Send, r.Contact))
}

// written compiles a template's messages and writes one; links are numbered from 1 in the order of Links.
func written(t *testing.T, template *Template, o Outside, r Recipient) (message []byte, links []string) {
	t.Helper()
	ms, err := template.CompileMessages(o)
	if err != nil {
		t.Fatalf("compile messages: %v", err)
	}
	numbered(ms)
	message, err = ms.For(r.Locale).Append([]byte("before"), r)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return bytes.TrimPrefix(message, []byte("before")), ms.Links()
}

func numbered(ms *Messages) {
	ids := map[string]int64{}
	for i, url := range ms.Links() {
		ids[url] = int64(i + 1)
	}
	ms.Number(ids)
}

// composed is the message as the plain renderer has it.
func composed(template *Template, o Outside, r Recipient) ([]byte, error) {
	vars := varsOf(o, r)
	rendered, err := template.Render(r.Locale, vars)
	if err != nil {
		return nil, err
	}
	unsubscribe, _ := vars[UnsubscribeURL].(string)
	return Compose(Envelope{
		From: o.From, ReplyTo: o.ReplyTo, To: r.Address, MessageID: MessageID(linkKey, o.Send, r.Seq, "", o.Domain), Date: r.Date.In(o.Zone),
		UnsubscribeURL: unsubscribe, OneClick: o.OneClick,
	}, rendered)
}

var boundaries = regexp.MustCompile(`=_[0-9a-f]{24}`)

// equivalent tells how a message differs from what the plain renderer gives: header by header, part by part.
func equivalent(want, got []byte) string {
	wantHeader, wantParts, _ := bytes.Cut(boundaries.ReplaceAll(want, nil), []byte("\r\n\r\n"))
	gotHeader, gotParts, _ := bytes.Cut(boundaries.ReplaceAll(got, nil), []byte("\r\n\r\n"))
	if diff := cmp.Diff(string(wantHeader), string(gotHeader)); diff != "" {
		return diff
	}
	return cmp.Diff(decoded(wantParts), decoded(gotParts))
}

// decoded decodes a body of which every part is quoted-printable; lines between the parts hold nothing to decode.
func decoded(body []byte) string {
	unfolded := bytes.ReplaceAll(body, []byte("=\r\n"), nil)
	var b strings.Builder
	for i := 0; i < len(unfolded); i++ {
		if unfolded[i] == '=' && i+2 < len(unfolded) && strings.IndexByte(upperHex, unfolded[i+1]) >= 0 && strings.IndexByte(upperHex, unfolded[i+2]) >= 0 {
			b.WriteByte(byte(strings.IndexByte(upperHex, unfolded[i+1])<<4 | strings.IndexByte(upperHex, unfolded[i+2])))
			i += 2
			continue
		}
		b.WriteByte(unfolded[i])
	}
	return b.String()
}

// checkQuoted: lines are no longer than may be and end in no blank.
func checkQuoted(message []byte) error {
	_, message, _ = bytes.Cut(message, []byte("\r\n\r\n"))
	for line := range bytes.SplitSeq(message, []byte("\r\n")) {
		if len(line) > maxLine+2 || bytes.HasSuffix(line, []byte(" ")) || bytes.HasSuffix(line, []byte("\t")) {
			return fmt.Errorf("line of %d bytes: %q", len(line), line)
		}
		if i := bytes.IndexFunc(line, func(r rune) bool { return r >= 0x7f || r < ' ' && r != '\t' }); i >= 0 {
			return fmt.Errorf("byte %#x in %q", line[i], line)
		}
	}
	return nil
}
