package intake

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// The bounds of what is said of accounts.
const (
	maxAccounts    = 20 // of a contact, from one source
	maxRole        = 100
	maxAccountName = 200
)

var (
	errAccounts = fmt.Errorf("are more than %d", maxAccounts)
	errRole     = fmt.Errorf("is longer than %d characters", maxRole)
	errName     = fmt.Errorf("is longer than %d characters", maxAccountName)
	errDomain   = errors.New("is no domain, such as acme.example")
	errAnybody  = errors.New("is one at which anybody gets an address: it tells of no account")
)

// anybodys are domains of mailboxes for everybody. They would make one account of strangers.
var anybodys = map[string]bool{
	"gmail.com": true, "googlemail.com": true, "outlook.com": true, "outlook.es": true, "hotmail.com": true, "hotmail.es": true, "live.com": true,
	"yahoo.com": true, "yahoo.es": true, "icloud.com": true, "me.com": true, "aol.com": true, "gmx.de": true, "gmx.net": true, "gmx.com": true, "web.de": true,
	"proton.me": true, "protonmail.com": true, "mail.ru": true, "yandex.ru": true, "qq.com": true, "163.com": true, "libero.it": true, "orange.fr": true,
	"telefonica.net": true, "msn.com": true,
}

// checkAccounts checks the source's ids of a person's accounts and drops empty ones.
func checkAccounts(list []string) (kept []string, err error) {
	for _, id := range list {
		if strings.TrimSpace(id) == "" {
			continue
		}
		if id, err = normalExternal(id); err != nil {
			return nil, err
		}
		if !slices.Contains(kept, id) {
			kept = append(kept, id)
		}
	}
	if len(kept) > maxAccounts {
		return nil, errAccounts
	}
	return kept, nil
}

func checkRole(text string) (string, error) {
	if text = strings.TrimSpace(text); utf8.RuneCountInString(text) > maxRole {
		return "", errRole
	}
	if strings.ContainsRune(text, 0) {
		return "", errors.New("contains a NUL character")
	}
	return text, nil
}

// Domain returns a domain in the form under which it is an account's. The error completes "the value …".
func Domain(text string) (string, error) {
	// An address at the domain tells whether it is one, and gives it its one form.
	address, err := crm.NormalizeEmail("a@" + strings.TrimPrefix(strings.ToLower(strings.TrimSpace(text)), "www."))
	if err != nil {
		return "", errDomain
	}
	name := strings.TrimPrefix(address, "a@")
	if anybodys[name] {
		return "", errAnybody
	}
	return name, nil
}

// AccountReader reads the rows of a file of accounts.
type AccountReader struct {
	// Header is the file's first record.
	Header []string
	// Attributes are those that the rows hold.
	Attributes []crm.Attribute

	csv    *Reader
	ahead  int // columns before those of fields
	fields []field
}

// accountColumns are the columns that every file of accounts may have.
var accountColumns = map[string]kind{"external_id": externalID, "name": name, "domain": domain}

// NewAccountReader reads a file's header and maps its columns to identifiers and attributes. Its errors are those of NewContactReader.
func NewAccountReader(source *Reader, attributes []crm.Attribute) (*AccountReader, error) {
	header, err := source.header()
	if err != nil {
		return nil, err
	}
	r := &AccountReader{Header: header, csv: source, ahead: rejectedColumns(header)}
	var problems []string
	names := []string{"external_id", "name", "domain"}
	for _, a := range attributes {
		names = append(names, a.Name)
	}
	for i, column := range header[r.ahead:] {
		at := slices.IndexFunc(attributes, func(a crm.Attribute) bool { return a.Name == column })
		k, fixed := accountColumns[column]
		problem := ""
		switch {
		case slices.ContainsFunc(r.fields, func(f field) bool { return f.name == column }):
			problem = "an earlier column holds the same: keep one of them"
		case fixed:
			r.fields = append(r.fields, field{name: column, kind: k})
		case at >= 0:
			r.fields = append(r.fields, field{name: column, kind: attribute, at: len(r.Attributes)})
			r.Attributes = append(r.Attributes, attributes[at])
		default:
			hint := crm.DidYouMean(clip(column), names)
			if hint == "" {
				hint = `: declare it as an attribute in the RecordType "account", or remove the column`
			}
			problem = "unknown column" + hint
		}
		if problem != "" {
			problems = append(problems, fmt.Sprintf("column %d %q: %s", r.ahead+i+1, clip(column), problem))
		}
	}
	if len(problems) == 0 && !slices.ContainsFunc(r.fields, func(f field) bool { return f.kind == externalID }) {
		problems = append(problems, `the column "external_id" is missing: it holds the source's own id of each account`)
	}
	if len(problems) > 0 {
		return nil, &HeaderError{Problems: problems[:min(len(problems), 20)]}
	}
	return r, nil
}

// Next returns the next row. It returns a *RowError for a record that cannot be used, and io.EOF at the end.
func (r *AccountReader) Next() (store.AccountRow, error) {
	line, cells, err := r.csv.Next()
	if err != nil {
		return store.AccountRow{}, err
	}
	record, err := r.csv.behind(line, cells, len(r.Header), r.ahead)
	if err != nil {
		return store.AccountRow{}, err
	}
	row := store.AccountRow{Line: line, Attributes: make([]string, len(r.Attributes))}
	for i, f := range r.fields {
		if record[i] == "" && f.kind != externalID {
			continue
		}
		if err := r.set(&row, f, record[i]); err != nil {
			return store.AccountRow{}, &RowError{Line: line, Reason: f.name + ": " + err.Error(), Record: excerpt(record)}
		}
	}
	return row, nil
}

func (r *AccountReader) set(row *store.AccountRow, f field, cell string) (err error) {
	switch f.kind {
	case externalID:
		row.ExternalID, err = normalExternal(cell)
	case name:
		if row.Name = strings.TrimSpace(cell); utf8.RuneCountInString(row.Name) > maxAccountName {
			err = errName
		}
	case domain:
		row.Domain, err = Domain(cell)
	case attribute:
		row.Attributes[f.at], err = checkAttribute(r.Attributes[f.at], cell)
	}
	return err
}

// Offset is how many bytes of the file have been read.
func (r *AccountReader) Offset() int64 { return r.csv.Offset() }

// Text is the last row as the file has it. Reject takes it apart again.
func (r *AccountReader) Text() string { return r.csv.Text() }

// Reject makes the report about a row that was read well and refused later.
func (r *AccountReader) Reject(line int64, text, reason string) *RowError {
	return r.csv.reject(line, text, reason, r.ahead)
}
