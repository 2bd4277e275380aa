package intake

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/identity"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// The bounds of a contact's tags.
const (
	maxTags = 100
	maxTag  = 100 // bytes
)

// maxIndexed bounds the texts of indexed attributes, in bytes: an entry of a B-tree holds 2,704.
const maxIndexed = 2000

var (
	errZone    = errors.New("is no time zone of the IANA database, such as Europe/Madrid")
	errIndexed = fmt.Errorf("is longer than %d bytes, which an indexed attribute cannot hold", maxIndexed)
	errTags    = fmt.Errorf("are more than %d", maxTags)
	errTag     = fmt.Errorf("hold one that is longer than %d bytes", maxTag)
)

// Next returns the next row. It returns a *RowError for a record that cannot be used, and io.EOF at the end.
func (r *ContactReader) Next() (store.ContactRow, error) {
	line, cells, err := r.csv.Next()
	if err != nil {
		return store.ContactRow{}, err
	}
	record, err := r.csv.behind(line, cells, len(r.Header), r.ahead)
	if err != nil {
		return store.ContactRow{}, err
	}
	row := store.ContactRow{
		Line: line, Attributes: r.slab.texts(len(r.Columns.Attributes)), Identifiers: r.slab.texts(len(r.Columns.Identifiers)),
		Consents: r.slab.decisions(len(r.Columns.Purposes)),
	}
	if r.Columns.Proofs {
		row.Proofs = make([]store.Proof, len(r.Columns.Purposes))
	}
	for i, f := range r.fields {
		if record[i] == "" && f.kind != externalID {
			continue
		}
		if err := r.set(&row, f, record[i]); err != nil {
			return store.ContactRow{}, &RowError{Line: line, Reason: f.name + ": " + err.Error(), Record: excerpt(record)}
		}
	}
	return row, nil
}

// Offset is how many bytes of the file have been read.
func (r *ContactReader) Offset() int64 { return r.csv.Offset() }

// Text is the last row as the file has it. Reject takes it apart again.
func (r *ContactReader) Text() string { return r.csv.Text() }

// Reject makes the report about a row that was read well and refused later.
func (r *ContactReader) Reject(line int64, text, reason string) *RowError {
	return r.csv.reject(line, text, reason, r.ahead)
}

// behind is what a row holds behind the columns that tell of a rejection, or a *RowError where it has more or fewer cells than the header.
func (r *Reader) behind(line int64, cells []string, header, ahead int) ([]string, error) {
	if len(cells) != header {
		reason := fmt.Sprintf("cells: %d where the header has %d", len(cells), header)
		return nil, &RowError{Line: line, Reason: reason, Record: excerpt(cells[min(ahead, len(cells)):])}
	}
	return cells[ahead:], nil
}

// reject makes the report about a row, as the file has it.
func (r *Reader) reject(line int64, text, reason string, ahead int) *RowError {
	again := &Reader{source: strings.NewReader(""), buf: []byte(text), end: len(text), err: io.EOF, separator: r.separator}
	_, cells, err := again.Next()
	if err != nil {
		cells = []string{text}
	}
	return &RowError{Line: line, Reason: reason, Record: excerpt(cells[min(ahead, len(cells)):])}
}

func (r *ContactReader) set(row *store.ContactRow, f field, cell string) (err error) {
	switch f.kind {
	case externalID:
		row.ExternalID, err = normalExternal(cell)
	case email:
		row.Email, err = normalEmail(cell)
	case phone:
		row.Phone, err = normalPhone(cell)
	case identifier:
		row.Identifiers[f.at], err = identity.Normalize(r.Columns.Identifiers[f.at].Type, cell)
	case account:
		row.Accounts, err = checkAccounts(strings.Split(cell, "|"))
	case accountRole:
		row.AccountRole, err = checkRole(cell)
	case tags:
		row.Tags, err = checkTags(strings.Split(cell, "|"))
	case locale:
		row.Locale, err = r.checks.locale(cell)
	case timeZone:
		row.TimeZone, err = r.checks.zone(cell)
	case attribute:
		row.Attributes[f.at], err = checkAttribute(r.Columns.Attributes[f.at], cell)
	case consent:
		row.Consents[f.at], err = checkConsent(cell)
	case consentAt, consentHow, consentText:
		err = setProof(&row.Proofs[f.at], f.kind, cell, r.checks.began)
	}
	return err
}

func normalExternal(text string) (string, error) {
	return identity.Normalize(crm.ExternalIdentifier("any"), text)
}

func normalEmail(text string) (string, error) {
	return identity.Normalize(crm.EmailIdentifier, text)
}

func normalPhone(text string) (string, error) {
	return identity.Normalize(crm.PhoneIdentifier, text)
}

func checkAttribute(a crm.Attribute, text string) (string, error) {
	if a.Type != crm.String {
		text = strings.TrimSpace(text)
	} else if a.Indexed && len(text) > maxIndexed {
		return "", errIndexed
	}
	return a.Canonical(text)
}

func checkConsent(text string) (store.Decision, error) {
	value, err := crm.Boolean.Canonical(strings.TrimSpace(text))
	switch {
	case err != nil:
		return store.Unsaid, errors.New("is neither true nor false nor empty")
	case value == "true":
		return store.Granted, nil
	}
	return store.Refused, nil
}

// checkTags trims tags and drops empty ones.
func checkTags(list []string) ([]string, error) {
	if len(list) > maxTags {
		return nil, errTags
	}
	kept := make([]string, 0, len(list))
	for _, tag := range list {
		tag = strings.TrimSpace(tag)
		if len(tag) > maxTag {
			return nil, errTag
		}
		if tag != "" {
			kept = append(kept, tag)
		}
	}
	return kept, nil
}

// checks remembers the locales and zones that it has checked: a file has few of them, many times.
type checks struct {
	began          time.Time
	locales, zones map[string]string
}

// maxRemembered bounds what a file of nonsense makes us remember.
const maxRemembered = 10_000

func newChecks() *checks {
	return &checks{began: time.Now(), locales: map[string]string{}, zones: map[string]string{}}
}

// locale returns a language tag in its canonical form.
func (c *checks) locale(text string) (string, error) {
	if known, ok := c.locales[text]; ok {
		return known, nil
	}
	tag, err := crm.NormalizeLocale(text)
	if err != nil {
		return "", err
	}
	remember(c.locales, text, tag)
	return tag, nil
}

func (c *checks) zone(text string) (string, error) {
	if known, ok := c.zones[text]; ok {
		return known, nil
	}
	name := strings.TrimSpace(text)
	if _, err := crm.ParseZone(name); err != nil {
		return "", errZone
	}
	remember(c.zones, text, name)
	return name, nil
}

func remember(m map[string]string, key, value string) {
	if len(m) < maxRemembered {
		m[strings.Clone(key)] = value
	}
}

// slab hands out small lists from larger ones, to allocate seldom. A larger one lives as long as any of its lists: it is
// small enough not to keep much of a written batch alive.
type slab struct {
	text     []string
	decision []store.Decision
}

const slabRows = 32

func (s *slab) texts(n int) []string {
	if n > len(s.text) {
		s.text = make([]string, n*slabRows)
	}
	list := s.text[:n:n]
	s.text = s.text[n:]
	return list
}

func (s *slab) decisions(n int) []store.Decision {
	if n > len(s.decision) {
		s.decision = make([]store.Decision, n*slabRows)
	}
	list := s.decision[:n:n]
	s.decision = s.decision[n:]
	return list
}
