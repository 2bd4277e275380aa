package mailbox

import (
	"fmt"
	"slices"
	"strings"
)

// Filter says which messages are meant. Conditions that are set must all hold; the zero value means every message.
type Filter struct {
	// Text is looked for in sender, recipients, subject and Message-ID; case does not matter.
	Text string
	// From and To are whole addresses of the envelope; case does not matter.
	From, To string
	// Header asks for a header field: "List-Unsubscribe" for one that is there, "X-Campaign: spring" for one with that text in
	// its value. Each message must be read for it.
	Header string
}

// Find returns a page of the entries that match, newest first, and how many match in all. limit 0 returns none but counts.
func (s *Store) Find(f Filter, offset, limit int) (page []Entry, total int, err error) {
	err = s.each(f, func(entry Entry) {
		if total >= offset && len(page) < limit {
			page = append(page, entry)
		}
		total++
	})
	return page, total, err
}

// Tally is how many messages match, and how many different Message-IDs they have (a message without one counts as one).
type Tally struct {
	Count      int `json:"count"`
	MessageIDs int `json:"messageIds"`
}

// Count counts the messages that match.
func (s *Store) Count(f Filter) (Tally, error) {
	var tally Tally
	seen := map[string]bool{}
	err := s.each(f, func(entry Entry) {
		tally.Count++
		if entry.MessageID == "" || !seen[entry.MessageID] {
			tally.MessageIDs++
		}
		seen[entry.MessageID] = true
	})
	return tally, err
}

// each calls visit for every entry that matches, newest first. The entries are those of the moment of the call.
func (s *Store) each(f Filter, visit func(Entry)) error {
	s.mu.RLock()
	entries := s.entries
	s.mu.RUnlock()
	f.Text = strings.ToLower(strings.TrimSpace(f.Text))
	for _, entry := range slices.Backward(entries) {
		if !f.matchesEntry(entry.Entry) {
			continue
		}
		if f.Header != "" {
			_, message, err := s.Message(entry.ID)
			if err != nil {
				return fmt.Errorf("look for header %q: %w", f.Header, err)
			}
			if !hasHeader(message, f.Header) {
				continue
			}
		}
		visit(entry.Entry)
	}
	return nil
}

func (f Filter) matchesEntry(e Entry) bool {
	if f.From != "" && !strings.EqualFold(f.From, e.From) {
		return false
	}
	if f.To != "" && !slices.ContainsFunc(e.To, func(to string) bool { return strings.EqualFold(f.To, to) }) {
		return false
	}
	if f.Text == "" {
		return true
	}
	fields := append([]string{e.From, e.Subject, e.MessageID}, e.To...)
	return slices.ContainsFunc(fields, func(field string) bool { return strings.Contains(strings.ToLower(field), f.Text) })
}

// hasHeader reports whether a message has a header field "Name", or "Name: text" somewhere in its value.
func hasHeader(message []byte, condition string) bool {
	name, text, _ := strings.Cut(condition, ":")
	text = strings.ToLower(strings.TrimSpace(text))
	values := readHeader(message)[canonical(name)]
	return slices.ContainsFunc(values, func(value string) bool { return strings.Contains(strings.ToLower(value), text) })
}
