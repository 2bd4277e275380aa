package render

import (
	"html"
	"strings"
)

// writing is what the rendering of a message knows beside its template.
type writing struct {
	message     *Message
	to          Recipient
	mac         *macState
	unsubscribe string // the address for unsubscribing
	links       []span // addresses of links in addresses, made when they are first needed
	addresses   []byte

	mapped  bool // contact holds this recipient
	contact map[string]any
	vars    map[string]any
}

// span is a stretch of bytes; the zero value is none.
type span struct{ from, to int }

// begin makes a state ready for a recipient.
func (w *writing) begin(m *Message, r Recipient) {
	w.message, w.to, w.mac, w.mapped = m, r, m.o.Signer.take(), false
	w.addresses = w.addresses[:0]
	if cap(w.links) < len(m.ids) {
		w.links = make([]span, len(m.ids))
	}
	w.links = w.links[:len(m.ids)]
	clear(w.links)
}

// done forgets the recipient.
func (w *writing) done() {
	w.message.o.Signer.macs.Put(w.mac)
	w.message, w.to, w.mac, w.unsubscribe = nil, Recipient{}, nil, ""
	clear(w.contact)
	clear(w.vars)
}

// The variables of a message.

func (w *writing) text(path []string) (string, bool) {
	switch {
	case path[0] == UnsubscribeURL && len(path) == 1:
		return w.unsubscribe, true
	case path[0] == ConfirmURL && len(path) == 1:
		return w.to.ConfirmURL, true
	case path[0] == "contact" && len(path) == 2:
		switch name := path[1]; {
		case name == "tags":
			return "", false
		case name == "locale" && w.to.Locale != "":
			return w.to.Locale, true
		case name == "time_zone" && w.to.TimeZone != "":
			return w.to.TimeZone, true
		default:
			v, ok := w.field(name)
			text, isText := v.(string)
			return text, ok && (isText || v == nil)
		}
	}
	return "", false
}

// field is an attribute of the contact; nil where it has none of that name.
func (w *writing) field(name string) (any, bool) {
	if i, ok := w.message.fields[name]; ok && i < len(w.to.Values) {
		return w.to.Values[i], true
	}
	return nil, name != "size"
}

func (w *writing) list(path []string) ([]string, bool) {
	if len(path) == 2 && path[0] == "contact" && path[1] == "tags" {
		return w.to.Tags, true
	}
	return nil, false
}

func (w *writing) value(path []string) (any, bool) {
	if text, ok := w.text(path); ok && text != "" {
		return text, true
	}
	switch {
	case path[0] == UnsubscribeURL, path[0] == ConfirmURL:
		return nil, len(path) == 1
	case path[0] == "tenant":
		return follow(w.message.o.Tenant, path[1:])
	case path[0] != "contact":
		return nil, true
	case len(path) == 1:
		return nil, false
	case path[1] == "tags":
		return follow(w.to.Tags, path[2:])
	case path[1] == "locale" && w.to.Locale != "", path[1] == "time_zone" && w.to.TimeZone != "":
		return nil, false
	}
	v, ok := w.field(path[1])
	if !ok {
		return nil, false
	}
	return follow(v, path[2:])
}

func (w *writing) all(bool) map[string]any {
	if w.vars == nil {
		w.vars, w.contact = map[string]any{}, map[string]any{}
	}
	if !w.mapped {
		w.mapped = true
		for _, name := range w.message.reads {
			if v, _ := w.field(name); v != nil {
				w.contact[name] = v
			}
		}
		w.contact["tags"] = w.to.Tags
		if w.to.Locale != "" {
			w.contact["locale"] = w.to.Locale
		}
		if w.to.TimeZone != "" {
			w.contact["time_zone"] = w.to.TimeZone
		}
	}
	clear(w.vars)
	if w.to.ConfirmURL != "" {
		w.vars[ConfirmURL] = w.to.ConfirmURL
	}
	w.vars["contact"], w.vars["tenant"], w.vars[UnsubscribeURL] = w.contact, w.message.o.Tenant, w.unsubscribe
	return w.vars
}

// link gives the address of a link for this recipient; nil where it is not tracked.
func (w *writing) link(index int) []byte {
	id := w.message.ids[index]
	if w.to.Untracked || id == 0 {
		return nil
	}
	if w.links[index].to == 0 {
		from := len(w.addresses)
		w.addresses = w.address(w.addresses, "/c/", Track{Kind: TrackClick, Link: id})
		w.links[index] = span{from, len(w.addresses)}
	}
	return w.addresses[w.links[index].from:w.links[index].to]
}

// address makes a tracked address.
func (w *writing) address(dst []byte, path string, t Track) []byte {
	t.Send, t.Seq = w.message.o.Send, w.to.Seq
	dst = append(append(dst, w.message.o.PublicURL...), path...)
	return w.mac.appendTrack(dst, t)
}

// writeLiteral writes bytes that mean themselves in HTML, in text and in mail.
func (s *state) writeLiteral(b []byte, offset int) error {
	if s.size+len(b) > MaxOutput {
		return s.tooLong(offset)
	}
	s.literal(b)
	return nil
}

// trackedLink is the address of a link that is the same for everybody.
type trackedLink struct {
	index int
	plain []node // the address as the template has it
}

func (l *trackedLink) render(s *state) error {
	if address := s.link(l.index); address != nil {
		return s.writeLiteral(address, 0)
	}
	return s.all(l.plain)
}

// personalLink is an address with a recipient's values in it: its token says where it leads.
type personalLink struct {
	index int
	plain []node
	own   string // how addresses begin that are never tracked
}

func (l *personalLink) render(s *state) error {
	id := s.message.ids[l.index]
	if s.to.Untracked || id == 0 {
		return s.all(l.plain)
	}
	held, err := s.aside(l.plain)
	if err != nil {
		return err
	}
	written := string(held)
	s.spare = held
	target, rest := strings.TrimSpace(written), ""
	if s.part.mode == markup {
		target = html.UnescapeString(target)
	} else {
		end := trimURL(written[:urlEnd(written)])
		target, rest = written[:end], written[end:]
	}
	if !IsWebURL(target) || len(target) > MaxTarget || strings.HasPrefix(target, l.own) {
		return s.write(written, 0)
	}
	if err := s.writeLiteral(s.address(nil, "/c/", Track{Kind: TrackClick, Link: id, Target: target}), 0); err != nil {
		return err
	}
	return s.write(rest, 0)
}

// beacon is what stands at the end of a body: a pixel that tells of an open, and a link that no person sees, so that who
// follows it is known to be a program.
type beacon struct{ opens, clicks []node }

func (b *beacon) render(s *state) error {
	if s.to.Untracked || s.size == 0 { // a pixel alone is no content
		return nil
	}
	if err := s.all(b.opens); err != nil {
		return err
	}
	return s.all(b.clicks)
}

// beaconAddress is an address of a beacon.
type beaconAddress struct {
	path string
	kind TrackKind
}

func (a *beaconAddress) render(s *state) error {
	from := len(s.addresses)
	s.addresses = s.address(s.addresses, a.path, Track{Kind: a.kind})
	return s.writeLiteral(s.addresses[from:], 0)
}

func newBeacon(opens, clicks bool) *beacon {
	b := &beacon{}
	if opens {
		b.opens = []node{
			newFixed(`<img src="`, false), &beaconAddress{path: "/o/", kind: TrackOpen},
			newFixed(`.gif" alt="" width="1" height="1" style="display:block;width:1px;height:1px;border:0">`, false),
		}
	}
	if clicks {
		b.clicks = []node{
			newFixed(`<a href="`, false), &beaconAddress{path: "/c/", kind: TrackClick},
			newFixed(`" style="display:none" aria-hidden="true" tabindex="-1"></a>`, false),
		}
	}
	return b
}
