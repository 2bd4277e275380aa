package intake

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/identity"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// HeaderError lists what is wrong with a file's header. Nothing of such a file is imported.
type HeaderError struct {
	Problems []string // each names the column and its position, and how to mend it
}

// Error joins the problems.
func (e *HeaderError) Error() string { return strings.Join(e.Problems, "; ") }

// kind is what a column of a contacts file means.
type kind int8

const (
	externalID kind = iota
	email
	phone
	tags
	locale
	timeZone
	attribute
	consent
	consentAt
	consentHow
	consentText
	identifier
	account
	accountRole
	name
	domain
)

// field is one column: its name in the header, what it means, and for attributes and purposes which one.
type field struct {
	name string
	kind kind
	at   int
}

// The columns that every file may have. An e-mail address or a telephone number that the source has verified stands in
// the column with the suffix: it then identifies its person.
var fixed = map[string]kind{
	"external_id": externalID, "email": email, "email:verified": email, "phone": phone, "phone:verified": phone,
	"tags": tags, "locale": locale, "time_zone": timeZone, "account": account, "account_role": accountRole,
}

const consentPrefix = "consent:"

// The columns that tell how a consent of a purpose was given. Each stands beside the purpose's own.
var proofPrefixes = map[string]kind{"consent_at:": consentAt, "consent_how:": consentHow, "consent_text:": consentText}

// ContactReader reads the rows of a contacts file.
type ContactReader struct {
	// Header is the file's first record.
	Header []string
	// Columns are what the rows hold.
	Columns store.ContactColumns

	csv    *Reader
	ahead  int // columns before those of fields
	fields []field
	checks *checks
	slab   slab
}

// NewContactReader reads a file's header and maps its columns to identifiers, attributes and purposes of consent. It
// returns a *HeaderError, or an error that wraps ErrEncoding, for a file that cannot be used.
func NewContactReader(source *Reader, attributes []crm.Attribute) (*ContactReader, error) {
	header, err := source.header()
	if err != nil {
		return nil, err
	}
	r := &ContactReader{Header: header, csv: source, checks: newChecks()}
	m := &mapper{reader: r, attributes: attributes, position: map[string]int{}}
	r.ahead = rejectedColumns(header)
	for i, name := range header[r.ahead:] {
		m.column(r.ahead+i+1, name)
	}
	m.proofs()
	if _, ok := m.position["external_id"]; !ok && len(m.problems) == 0 {
		m.problems = append(m.problems, `the column "external_id" is missing: it holds the source's own id of each person`)
	}
	if role, ok := m.position["account_role"]; ok && m.position["account"] == 0 {
		m.problem(role, "account_role", "it tells what people are in an account that the file does not name: add the column \"account\"")
	}
	if len(m.problems) > 0 {
		return nil, &HeaderError{Problems: m.problems[:min(len(m.problems), 20)]}
	}
	return r, nil
}

// header reads the first record. A file that Excel wrote in Spain or in Germany separates by semicolons: names of
// columns have none, so the header tells.
func (r *Reader) header() ([]string, error) {
	if size, _ := r.find(); size > 0 {
		first := string(r.buf[r.start : r.start+min(size, MaxCell)])
		for _, separator := range ";\t" {
			if !strings.Contains(first, ",") && strings.ContainsRune(first, separator) {
				r.separator = byte(separator)
			}
		}
	}
	_, cells, err := r.Next()
	if err != nil {
		return nil, fmt.Errorf("read the header: %w", err)
	}
	header := make([]string, len(cells))
	for i, cell := range cells {
		header[i] = strings.TrimSpace(cell)
		if strings.Contains(header[i], "\r") {
			return nil, &HeaderError{Problems: []string{"the file's lines end with carriage returns only: save it with the line breaks of Unix or of Windows"}}
		}
	}
	r.Fields = len(header)
	return header, nil
}

// mapper finds what the columns of a header mean.
type mapper struct {
	reader     *ContactReader
	attributes []crm.Attribute
	position   map[string]int // of a column's meaning
	problems   []string
}

func (m *mapper) problem(position int, name, format string, args ...any) {
	if len(name) > 60 {
		name = name[:60] + "…"
	}
	m.problems = append(m.problems, fmt.Sprintf("column %d %q: ", position, name)+fmt.Sprintf(format, args...))
}

func (m *mapper) column(position int, name string) {
	f, meaning, ok := m.find(position, name)
	if !ok {
		return
	}
	if first, taken := m.position[meaning]; taken {
		m.problem(position, name, "column %d holds the same: keep one of them", first)
		return
	}
	m.position[meaning] = position
	columns := &m.reader.Columns
	switch f.kind {
	case email:
		columns.EmailVerified = name != "email"
	case phone:
		columns.PhoneVerified = name != "phone"
	case account:
		columns.Accounts = true
	case attribute:
		i := slices.IndexFunc(m.attributes, func(a crm.Attribute) bool { return a.Name == name })
		f.at = len(columns.Attributes)
		columns.Attributes = append(columns.Attributes, m.attributes[i])
	case identifier:
		f.at = len(columns.Identifiers)
		columns.Identifiers = append(columns.Identifiers, store.IdentifierColumn{Type: meaning, Verified: name != meaning})
	case consent:
		f.at = len(columns.Purposes)
		columns.Purposes = append(columns.Purposes, strings.TrimPrefix(name, consentPrefix))
	}
	m.reader.fields = append(m.reader.fields, f)
}

func (m *mapper) find(position int, name string) (f field, meaning string, ok bool) {
	declared := slices.ContainsFunc(m.attributes, func(a crm.Attribute) bool { return a.Name == name })
	if k, ok := fixed[name]; ok && !declared { // an attribute may be older than a column of its name
		return field{name: name, kind: k}, strings.TrimSuffix(name, ":verified"), true
	}
	if purpose, ok := strings.CutPrefix(name, consentPrefix); ok {
		if !crm.IsPurpose(purpose) {
			m.problem(position, name, "a purpose is written in lower-case letters, digits, - and _, such as consent:newsletter")
			return field{}, "", false
		}
		return field{name: name, kind: consent}, name, true
	}
	for prefix, k := range proofPrefixes {
		if purpose, ok := strings.CutPrefix(name, prefix); ok && crm.IsPurpose(purpose) {
			return field{name: name, kind: k}, name, true
		}
	}
	for _, a := range m.attributes {
		if a.Name == name {
			return field{name: name, kind: attribute}, name, true
		}
	}
	if kind := strings.TrimSuffix(name, ":verified"); slices.Contains(identity.Extra(), kind) {
		return field{name: name, kind: identifier}, kind, true
	}
	if name == "" {
		m.problem(position, name, "the column has no name: name it or remove it")
		return field{}, "", false
	}
	m.problem(position, name, "unknown column%s", m.suggestion(name))
	return field{}, "", false
}

// proofs finds the purposes that the columns of proofs are about.
func (m *mapper) proofs() {
	for i := range m.reader.fields {
		f := &m.reader.fields[i]
		if f.kind != consentAt && f.kind != consentHow && f.kind != consentText {
			continue
		}
		_, purpose, _ := strings.Cut(f.name, ":")
		if f.at = slices.Index(m.reader.Columns.Purposes, purpose); f.at < 0 {
			m.problem(m.position[f.name], f.name, "it tells how a consent was given that the file does not have: add the column %q", consentPrefix+purpose)
			continue
		}
		m.reader.Columns.Proofs = true
	}
}

func (m *mapper) suggestion(name string) string {
	var names []string
	for n := range fixed {
		names = append(names, n)
	}
	for _, a := range m.attributes {
		names = append(names, a.Name)
	}
	slices.Sort(names)
	if _, purpose, ok := strings.Cut(name, ":"); ok && crm.IsPurpose(purpose) {
		names = append(names, consentPrefix+purpose)
	}
	if hint := crm.DidYouMean(name, names); hint != "" {
		return hint
	}
	return ": declare it as an attribute in the RecordType \"contact\", or remove the column"
}

// The columns with which a file of rejected rows begins. A file that begins with both is read without them, so that it
// can be mended and imported as it is.
const (
	RejectedLine   = "line"
	RejectedReason = "reason"
)

// Header reads the names of a file's columns, nil where they cannot be read, and without those of rejected rows.
func Header(source io.Reader) []string {
	r, err := NewReader(source)
	if err != nil {
		return nil
	}
	header, err := r.header()
	if err != nil {
		return nil
	}
	return header[rejectedColumns(header):]
}

// rejectedColumns is how many columns at the beginning tell about a rejection.
func rejectedColumns(header []string) int {
	if len(header) > 2 && header[0] == RejectedLine && header[1] == RejectedReason {
		return 2
	}
	return 0
}
