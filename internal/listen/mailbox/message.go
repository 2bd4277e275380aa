package mailbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	protocol "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // texts in other encodings than UTF-8
	letter "github.com/emersion/go-message/mail"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/listen"
)

// Why a mail is left out.
const (
	unreadable = "it cannot be read as a mail"
	automatic  = "a program wrote it"
	broadcast  = "it went to a list of people"
	ownMail    = "the mailbox itself wrote it"
	marked     = "it is marked as junk or as a draft"
	withheld   = "the server does not give it out"
)

// maxHead is how many bytes of a mail's header are read.
const maxHead = 256 << 10

// post reads a mail. It is pure but for the connector's settings.
func (c *Connector) post(m mail) (p listen.Post, refused string) {
	for _, f := range m.flags {
		if strings.EqualFold(string(f), "$Junk") || strings.EqualFold(string(f), "Junk") || f == protocol.FlagDraft {
			return p, marked
		}
	}
	entity, err := message.ReadWithOptions(bytes.NewReader(m.raw), &message.ReadOptions{MaxHeaderBytes: maxHead})
	if entity == nil || err != nil && !isOfPart(err) {
		return p, unreadable
	}
	h := letter.Header{Header: entity.Header}
	if refused := leaveOut(h); refused != "" {
		return p, refused
	}
	p = listen.Post{ID: c.id(h, m.raw), Kind: listen.Message, Visibility: listen.Private, Author: author(h), CreatedAt: written(h, m.received)}
	if c.own != "" && p.Author.ID == c.own {
		return listen.Post{}, ownMail
	}
	p.Thread, p.Parent = thread(h)
	p.Title, _ = h.Subject()
	b := body{reply: p.Parent != ""}
	p.Text = b.read(entity)
	return p, ""
}

// isOfPart tells that a text is in an encoding that is not known, and can be read as it is.
func isOfPart(err error) bool { return message.IsUnknownCharset(err) || message.IsUnknownEncoding(err) }

// leaveOut tells why a mail is nothing that somebody says to us (RFC 3834, RFC 2369, and what was usual before).
func leaveOut(h letter.Header) string {
	value := func(name string) string { return strings.ToLower(strings.TrimSpace(h.Get(name))) }
	submitted, _, _ := strings.Cut(value("Auto-Submitted"), ";")
	precedence := value("Precedence")
	mediaType, _, _ := h.ContentType()
	switch {
	case submitted != "" && strings.TrimSpace(submitted) != "no", h.Has("X-Autoreply"), h.Has("X-Autorespond"), precedence == "auto_reply",
		value("Return-Path") == "<>", mediaType == "multipart/report":
		return automatic
	case precedence == "bulk", precedence == "junk":
		return broadcast
	case h.Has("List-Id"), h.Has("List-Unsubscribe"), precedence == "list":
		// A list to which people write is a conversation, as where a team reads its mail by a group; a newsletter takes no answers.
		if at := value("List-Post"); at == "" || strings.HasPrefix(at, "no") {
			return broadcast
		}
	}
	return ""
}

// id is the mail's own. Without one it is made of the whole mail as it was received, which is the same wherever the mail is moved.
func (c *Connector) id(h letter.Header, raw []byte) string {
	if ids := messageIDs(h.Get("Message-Id")); len(ids) > 0 {
		return ids[0]
	}
	return hashed(raw)
}

func hashed(raw []byte) string {
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// maxReferences is how many ids of a thread are looked at.
const maxReferences = 200

// messageIDs reads ids in angle brackets. One that is too long becomes its hash, here as elsewhere.
func messageIDs(field string) (ids []string) {
	for len(ids) < maxReferences {
		_, after, ok := strings.Cut(field, "<")
		if !ok {
			break
		}
		id, rest, ok := strings.Cut(after, ">")
		if !ok {
			break
		}
		field = rest
		if id = strings.TrimSpace(id); id == "" || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == '<' || r == 0x7f }) {
			continue
		}
		id = strings.ToValidUTF8(id, "?")
		if len(id) > listen.MaxID {
			id = hashed([]byte(id))
		}
		ids = append(ids, id)
	}
	return ids
}

// thread finds the mail that began a conversation and the one that is answered (RFC 5322, 3.6.4).
func thread(h letter.Header) (first, parent string) {
	references, answered := messageIDs(h.Get("References")), messageIDs(h.Get("In-Reply-To"))
	switch {
	case len(answered) > 0:
		parent = answered[0]
	case len(references) > 0:
		parent = references[len(references)-1]
	}
	if len(references) > 0 {
		return references[0], parent
	}
	return parent, parent
}

// author is who a mail says that wrote it. Nothing proves it.
func author(h letter.Header) listen.Account {
	from, _ := h.AddressList("From")
	from = slices.DeleteFunc(from, func(a *letter.Address) bool { return a == nil || a.Address == "" })
	if len(from) == 0 {
		return listen.Account{}
	}
	a := listen.Account{Handle: from[0].Address, Name: from[0].Name}
	if address, err := crm.NormalizeEmail(from[0].Address); err == nil {
		a.ID, a.Handle, a.Identifier = address, address, listen.Identifier{Type: crm.EmailIdentifier, Value: address}
	}
	return a
}

// written is when a mail says that it was written, which is before it came in.
func written(h letter.Header, received time.Time) time.Time {
	at, err := h.Date()
	if err != nil || at.IsZero() || !received.IsZero() && at.After(received.Add(listen.Skew)) {
		return received.UTC()
	}
	return at.UTC()
}

// readAll reads what can be read of a part.
func readAll(r io.Reader, most int64) string {
	raw, err := io.ReadAll(io.LimitReader(r, most))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && len(raw) == 0 {
		return ""
	}
	return string(raw)
}
