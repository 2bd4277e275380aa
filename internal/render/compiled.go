package render

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Outside is what the messages of a send bear beside their template's content: what is the same for all recipients.
type Outside struct {
	From    string // author as people see it: Velo <hola@velo.example>
	ReplyTo string // where answers go, written as From; "" for From
	Domain  string // of the Message-ID: that of From, in ASCII
	// PublicURL is the tenant's, without a slash at its end: what unsubscribing and tracking go by.
	PublicURL string
	OneClick  bool // unsubscribing by one click (RFC 8058): PublicURL is https, and DKIM will cover its headers
	Zone      *time.Location
	Send      int64
	Signer    *Signer
	Tenant    map[string]any // what templates see of the tenant
	Fields    []string       // names of a contact's attributes, in the order of Recipient.Values
	Opens     bool           // a pixel tells of opens
	Clicks    bool           // links lead by way of the tenant's server
}

// Recipient is who a message goes to, and what it says of them.
type Recipient struct {
	Address  string
	Seq      int64 // of the ledger's row
	Contact  int64
	Locale   string // "" where it is not known
	TimeZone string // likewise
	Tags     []string
	Values   []any // as Vars has them
	Date     time.Time
	// ConfirmURL is the address by which the recipient confirms what was asked in their name; "" where nothing was.
	ConfirmURL string
	// Untracked leaves out pixel and tracked links.
	Untracked bool
}

// Messages are the messages of a template within a send, one for each of its contents, with all encoded that is the same
// for everybody. They are safe for concurrent use once Number was called.
type Messages struct {
	template *Template
	messages []*Message
}

// Message writes the messages of a send in one language. What it writes reads as Template.Render has it, but for tracked
// addresses and the pixel.
type Message struct {
	o       Outside
	fields  map[string]int // places of the contact's attributes
	reads   []string       // those that the template reads
	head    []byte         // up to the recipient's address
	reply   []byte         // from there to the subject
	subject *part
	words   []byte // the subject, encoded, where it is the same for everybody
	kind    []byte // of the content, up to the first part
	between []byte
	end     []byte
	text    *part // nil where it is made from the rendered HTML, or there is none
	html    *part // nil without HTML
	urls    []string
	ids     []int64 // of urls; 0 is not tracked
	size    atomic.Int64
}

// CompileMessages makes the messages of a send. Call Links and Number before they are written where clicks are tracked.
func (t *Template) CompileMessages(o Outside) (*Messages, error) {
	if err := checkURL(o.PublicURL+"/u/", o.OneClick); err != nil {
		return nil, fmt.Errorf("compose message: %w", err)
	}
	if !IsWebURL(o.PublicURL) || strings.ContainsAny(o.PublicURL, "?#&'=") {
		return nil, errors.New("compose message: the tenant's public URL is not of the form https://crm.velo.example")
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	ms := &Messages{template: t, messages: make([]*Message, len(t.contents))}
	for _, c := range t.contents {
		m, err := t.compileMessage(c, o)
		if err != nil {
			return nil, fmt.Errorf("compose message: %w", err)
		}
		ms.messages[c.index] = m
	}
	return ms, nil
}

// For gives the message in the language that Template.Render would choose.
func (ms *Messages) For(locale string) *Message { return ms.messages[ms.template.choose(locale).index] }

// Links lists the addresses that are tracked, each once: absolute ones, and with Liquid in them those that hold a
// recipient's values.
func (ms *Messages) Links() []string {
	var urls []string
	for _, m := range ms.messages {
		urls = append(urls, m.urls...)
	}
	slices.Sort(urls)
	return slices.Compact(urls)
}

// Number gives the links their ids. A link without one is not tracked.
func (ms *Messages) Number(ids map[string]int64) {
	for _, m := range ms.messages {
		for i, url := range m.urls {
			m.ids[i] = ids[url]
		}
	}
}

func (t *Template) compileMessage(c *content, o Outside) (*Message, error) {
	m := &Message{o: o, fields: make(map[string]int, len(o.Fields)), reads: t.contactFields(o.Fields), subject: c.subject}
	for i, name := range o.Fields {
		m.fields[name] = i
	}
	if err := m.compileHeaders(); err != nil {
		return nil, err
	}
	m.compileParts(c)
	if words, ok := staticText(c.subject.nodes); ok {
		m.words = []byte(encodeSubject(oneLine(words)))
	}
	return m, nil
}

// contactFields are the attributes that the library's evaluator is given: all, where the template reads a contact as a whole.
func (t *Template) contactFields(known []string) []string {
	var names []string
	for _, u := range t.uses {
		rest, ok := strings.CutPrefix(u.name, "contact")
		switch {
		case !ok:
		case rest == "":
			return known
		default:
			name, _, _ := strings.Cut(strings.TrimPrefix(rest, "."), ".")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// compileHeaders tries the headers on a message to nobody and keeps what is the same in all.
func (m *Message) compileHeaders() error {
	const nobody = "nobody@example.com"
	mac := m.o.Signer.take()
	defer m.o.Signer.macs.Put(mac)
	id := string(mac.appendMessageID(nil, m.o.Send, 1, "", m.o.Domain))
	url := m.o.PublicURL + "/u/" + string(mac.appendUnsubscribe(nil, m.o.Send, 1<<62))
	_, err := appendHeaders(nil, Envelope{
		From: m.o.From, ReplyTo: m.o.ReplyTo, To: nobody, MessageID: id, Date: time.Unix(0, 0), UnsubscribeURL: url, OneClick: m.o.OneClick,
	}, "")
	if err != nil {
		return err
	}
	from, err := mailbox(m.o.From)
	if err != nil {
		return err
	}
	m.head = []byte("From: " + from + "\r\nTo: ")
	m.reply = []byte("\r\n")
	if m.o.ReplyTo != "" {
		replyTo, err := mailbox(m.o.ReplyTo)
		if err != nil {
			return err
		}
		m.reply = []byte("\r\nReply-To: " + replyTo + "\r\n")
	}
	m.reply = append(m.reply, "Subject: "...)
	return nil
}

// compileParts weaves the parts.
func (m *Message) compileParts(c *content) {
	var links *linkTable
	if m.o.Clicks {
		links = &linkTable{own: m.o.PublicURL + "/", indexes: map[string]int{}}
	}
	if c.html != nil {
		w := &weaver{part: c.html, links: links}
		if m.o.Opens || m.o.Clicks {
			w.beacon = newBeacon(m.o.Opens, m.o.Clicks)
		}
		m.html = w.weave()
	}
	if c.text != nil {
		m.text = (&weaver{part: c.text, links: links}).weave()
	}
	if links != nil {
		m.urls = links.urls
		m.ids = make([]int64, len(links.urls))
	}
	m.compileFrame()
}

// What stands before the content of a message, or of one of its parts.
const (
	version     = "MIME-Version: 1.0\r\n"
	textContent = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	htmlContent = "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
)

// compileFrame makes what stands around the parts.
func (m *Message) compileFrame() {
	if m.html == nil {
		m.kind, m.end = []byte(version+textContent), []byte("\r\n")
		return
	}
	boundary := boundaryOf(fmt.Sprintf("send %d", m.o.Send))
	m.kind = []byte(version + "Content-Type: multipart/alternative;\r\n boundary=\"" + boundary + "\"\r\n\r\n--" + boundary + "\r\n" + textContent)
	m.between = []byte("\r\n\r\n--" + boundary + "\r\n" + htmlContent)
	m.end = []byte("\r\n\r\n--" + boundary + "--\r\n")
}

// staticText is the text of nodes that are nothing else.
func staticText(nodes []node) (string, bool) {
	var b strings.Builder
	for _, n := range nodes {
		t, ok := n.(text)
		if !ok {
			return "", false
		}
		b.WriteString(string(t))
	}
	return b.String(), true
}

var states = sync.Pool{New: func() any { return new(state) }}

// Size is about how many bytes a message has: what the last one had.
func (m *Message) Size() int { return int(m.size.Load()) }

// Append appends the message to a recipient. It fails where Template.Render would, and for an address that is none; then
// what it returns is dst.
func (m *Message) Append(dst []byte, r Recipient) ([]byte, error) {
	s, _ := states.Get().(*state)
	s.begin(m, r)
	out, err := s.compose(dst)
	s.done()
	s.reset(nil)
	s.target = target{}
	states.Put(s)
	if err != nil {
		return dst, err
	}
	m.size.Store(int64(len(out) - len(dst)))
	return out, nil
}

func (s *state) compose(dst []byte) ([]byte, error) {
	m, r := s.message, &s.to
	dst = append(dst, m.head...)
	dst, err := appendRecipient(dst, r.Address)
	if err != nil {
		return nil, fmt.Errorf("recipient: %w", err)
	}
	s.addresses = s.mac.appendUnsubscribe(append(append(s.addresses, m.o.PublicURL...), "/u/"...), m.o.Send, r.Contact)
	s.unsubscribe = string(s.addresses)
	dst = append(dst, m.reply...)
	if dst, err = s.subject(dst); err != nil {
		return nil, err
	}
	dst = r.Date.In(m.o.Zone).AppendFormat(append(dst, "\r\nDate: "...), time.RFC1123Z)
	dst = s.mac.appendMessageID(append(dst, "\r\nMessage-ID: "...), m.o.Send, r.Seq, "", m.o.Domain)
	dst = append(append(append(dst, "\r\nList-Unsubscribe: <"...), s.unsubscribe...), ">\r\n"...)
	if m.o.OneClick {
		dst = append(dst, "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"...)
	}
	return s.parts(dst)
}

func (s *state) subject(dst []byte) ([]byte, error) {
	m := s.message
	if m.words != nil {
		return append(dst, m.words...), nil
	}
	held, err := s.renderPart(target{out: s.borrow()}, m.subject)
	if err != nil {
		return nil, err
	}
	s.spare = held
	return appendSubject(dst, held), nil
}

// parts writes text and HTML. A part of which nothing is left for this recipient is left out.
func (s *state) parts(dst []byte) ([]byte, error) {
	m, start := s.message, len(dst)
	dst = append(dst, m.kind...)
	text := len(dst)
	dst, rendered, err := s.textPart(dst)
	if err != nil || m.html == nil {
		return append(dst, m.end...), err
	}
	textEnd := len(dst)
	if dst = append(dst, m.between...); textEnd == text {
		dst = append(append(dst[:start], version...), htmlContent...)
	}
	html := len(dst)
	if rendered == "" {
		dst, err = s.renderPart(target{out: dst, encoded: true}, m.html)
	} else {
		dst = appendQuotedPrintable(dst, rendered)
	}
	switch {
	case err != nil:
		return nil, err
	case textEnd > text && len(dst) > html:
		return append(dst, m.end...), nil
	case len(dst) == html: // the text moves to where the parts began
		encoded := dst[text:max(text, textEnd)]
		if textEnd == text {
			encoded = nil
		}
		dst = append(append(append(dst[:start], version...), textContent...), encoded...)
	}
	return append(dst, '\r', '\n'), nil
}

// textPart writes the text. Where it is made from the rendered HTML, it gives that too.
func (s *state) textPart(dst []byte) (out []byte, rendered string, err error) {
	if p := s.message.text; p != nil {
		out, err = s.renderPart(target{out: dst, encoded: true, settled: p.mode == derived}, p)
		return out, "", err
	}
	held, err := s.renderPart(target{out: s.borrow()}, s.message.html)
	if err != nil {
		return nil, "", err
	}
	rendered = string(held)
	s.spare = held
	return appendQuotedPrintable(dst, HTMLToText(rendered)), rendered, nil
}

// renderPart renders a part into a target.
func (s *state) renderPart(t target, p *part) ([]byte, error) {
	s.target, s.part, s.steps = t, p, 0
	clear(s.cycles)
	s.reset(&s.writing)
	if err := s.all(p.nodes); err != nil {
		return nil, err
	}
	return s.finish(), nil
}
