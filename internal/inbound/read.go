package inbound

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"net/textproto"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // texts in other encodings than UTF-8

	"github.com/tertulia-crm/tertulia/internal/render"
)

// The bounds of what is read.
const (
	// MaxMessage is how many bytes of a message are read; a report's parts that count come first.
	MaxMessage = 1 << 20

	maxParts      = 20  // of a report
	maxReferences = 20  // Message-IDs that a reply names
	maxGroups     = 20  // recipients of a delivery report; ours have one
	maxDiagnostic = 500 // characters
	maxText       = 64 << 10
	maxHeader     = 500 // characters of a subject or a sender
)

// ErrUnreadable means that it is no message.
var ErrUnreadable = errors.New("it cannot be read as a message")

// Read reads a message that came back. recipients are the envelope's recipients, where they are known; the tenant's link
// key tells which tokens are ours. Whatever cannot be understood is a Reply or an AutoReply, so that nothing is lost.
func Read(key []byte, recipients []string, r io.Reader) (Notice, error) {
	entity, err := message.Read(io.LimitReader(r, MaxMessage))
	if err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		return Notice{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	reader := reader{key: key, header: entity.Header}
	reader.notice.MessageID = strings.Trim(cut(entity.Header.Get("Message-Id"), maxHeader), "<> ")
	if at, err := mail.ParseDate(entity.Header.Get("Date")); err == nil {
		reader.notice.At = at
	}
	mediaType, params, _ := entity.Header.ContentType()
	if mediaType == "multipart/report" {
		reader.report(entity, strings.ToLower(params["report-type"]))
	}
	if reader.notice.Kind == "" {
		reader.answer(entity)
	}
	reader.refer(recipients)
	return reader.notice, nil
}

type reader struct {
	key    []byte
	header message.Header
	notice Notice
}

// report reads a delivery report (RFC 3464) or a feedback report (RFC 5965).
func (r *reader) report(entity *message.Entity, kind string) {
	parts := entity.MultipartReader()
	if parts == nil {
		return
	}
	for range maxParts {
		part, err := parts.NextPart()
		if err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
			return
		}
		mediaType, _, _ := part.Header.ContentType()
		switch {
		case mediaType == "message/delivery-status" || mediaType == "message/global-delivery-status":
			r.deliveryStatus(part.Body)
		case mediaType == "message/feedback-report" && kind == "feedback-report":
			r.feedback(part.Body)
		case mediaType == "message/rfc822" || mediaType == "text/rfc822-headers" || mediaType == "message/global" || mediaType == "message/global-headers":
			r.original(part.Body)
		}
	}
}

// deliveryStatus reads the groups of fields of a delivery report: one of the message, then one for each recipient. What
// failed outweighs what did not.
func (r *reader) deliveryStatus(body io.Reader) {
	fields := textproto.NewReader(bufio.NewReader(body))
	for range maxGroups {
		group, err := fields.ReadMIMEHeader()
		if id := group.Get("X-Original-Message-Id"); id != "" {
			r.named(id)
		}
		action := strings.ToLower(strings.TrimSpace(group.Get("Action")))
		if action != "" && r.notice.Kind != Bounce {
			r.action(action, group)
		}
		if err != nil {
			return
		}
	}
}

func (r *reader) action(action string, group textproto.MIMEHeader) {
	switch action {
	case "failed":
		r.notice.Kind = Bounce
	case "delayed":
		r.notice.Kind = Delay
	default: // delivered, relayed, expanded
		r.notice.Kind = Delivery
	}
	r.notice.Status = enhanced.FindString(group.Get("Status"))
	_, told, ok := strings.Cut(group.Get("Diagnostic-Code"), ";")
	if !ok {
		told = group.Get("Diagnostic-Code")
	}
	r.notice.Diagnostic = cut(told, maxDiagnostic)
	if r.notice.Kind == Bounce {
		r.notice.Class = classify(r.notice.Status, r.notice.Diagnostic)
	}
}

// feedback reads a feedback report. That a message is not spam is no complaint.
func (r *reader) feedback(body io.Reader) {
	group, _ := textproto.NewReader(bufio.NewReader(body)).ReadMIMEHeader()
	kind := strings.ToLower(cut(group.Get("Feedback-Type"), maxHeader))
	if kind == "" || kind == "not-spam" {
		r.notice.Kind = AutoReply
		return
	}
	r.notice.Kind, r.notice.Feedback = Complaint, kind
}

// original reads the message that a report returns, whole or its header.
func (r *reader) original(body io.Reader) {
	// The header may be all there is, without the empty line that ends it.
	group, _ := textproto.NewReader(bufio.NewReader(io.MultiReader(body, strings.NewReader("\r\n\r\n")))).ReadMIMEHeader()
	r.named(group.Get("Message-Id"))
	for _, name := range []string{"Return-Path", "X-Return-Path"} {
		r.returned(strings.Trim(group.Get(name), "<> "))
	}
}

// answer reads what is no report.
func (r *reader) answer(entity *message.Entity) {
	r.notice.Kind = Reply
	if r.automatic() {
		r.notice.Kind = AutoReply
		return
	}
	if from, err := entity.Header.Text("From"); err == nil {
		r.notice.From = cut(from, maxHeader)
	}
	if subject, err := entity.Header.Text("Subject"); err == nil {
		r.notice.Subject = cut(subject, maxHeader)
	}
	r.notice.Text = plainText(entity)
}

// automatic tells whether a program wrote the message (RFC 3834, section 5, and what was usual before).
func (r *reader) automatic() bool {
	submitted := strings.ToLower(strings.TrimSpace(r.header.Get("Auto-Submitted")))
	precedence := strings.ToLower(strings.TrimSpace(r.header.Get("Precedence")))
	return submitted != "" && submitted != "no" || r.header.Has("X-Autoreply") || r.header.Has("X-Autorespond") ||
		precedence == "auto_reply" || precedence == "bulk" || precedence == "junk" || strings.TrimSpace(r.header.Get("Return-Path")) == "<>"
}

// refer finds the message that the notice is about: by the return address that it was sent to, or by a Message-ID that it
// names. Only what we signed counts.
func (r *reader) refer(recipients []string) {
	for _, address := range recipients {
		r.returned(address)
	}
	for _, name := range []string{"Delivered-To", "X-Original-To", "Envelope-To", "To"} {
		for _, address := range addresses(r.header.Get(name)) {
			r.returned(address)
		}
	}
	names := strings.Fields(r.header.Get("In-Reply-To") + " " + r.header.Get("References"))
	for i := len(names) - 1; i >= max(0, len(names)-maxReferences); i-- { // the nearest one is the last
		r.named(names[i])
	}
}

func addresses(field string) []string {
	list, err := mail.ParseAddressList(field)
	if err != nil {
		return []string{strings.Trim(field, "<> ")}
	}
	found := make([]string, len(list))
	for i, a := range list {
		found[i] = a.Address
	}
	return found
}

func (r *reader) returned(address string) {
	if r.notice.Reference.Known() {
		return
	}
	if reference, err := ParseReturnAddress(r.key, address); err == nil {
		r.notice.Reference = reference
	}
}

func (r *reader) named(messageID string) {
	if r.notice.Reference.Known() {
		return
	}
	if send, seq, err := render.ParseMessageID(r.key, strings.TrimSpace(messageID)); err == nil {
		r.notice.Reference = Reference{Send: send, Seq: seq}
	}
}

// plainText is the first plain text of a message, bounded.
func plainText(entity *message.Entity) string {
	var text string
	parts := 0
	_ = entity.Walk(func(_ []int, part *message.Entity, err error) error {
		if parts++; parts > maxParts {
			return io.EOF
		}
		mediaType, _, parseErr := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil || parseErr != nil && part.Header.Has("Content-Type") || mediaType != "" && mediaType != "text/plain" {
			return nil
		}
		var body bytes.Buffer
		if _, err := io.Copy(&body, io.LimitReader(part.Body, maxText)); err != nil && body.Len() == 0 {
			return nil
		}
		text = clean(body.String())
		return io.EOF
	})
	return text
}

// cut makes a line of what a header says, and bounds it.
func cut(s string, most int) string {
	s = strings.Join(strings.Fields(clean(s)), " ")
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most])
}

// clean makes text that a database takes.
func clean(s string) string { return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD") }
