package intake

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// ConsentProof says how a consent was given, as JSON.
type ConsentProof struct {
	At   string `json:"at,omitempty" doc:"When it was given: RFC 3339, or a date." example:"2026-03-01T10:15:00Z"`
	How  string `json:"how,omitempty" doc:"How, in a word or two." example:"checkout form"`
	Text string `json:"text,omitempty" doc:"The version of the text that it answers." example:"2026-01"`
}

// maxHow bounds how a consent was given, in bytes.
const maxHow = 100

var (
	errGivenAt = errors.New("is no date or time (RFC 3339), such as 2026-03-01 or 2026-03-01T10:15:00Z")
	errFuture  = errors.New("lies in the future: must be when the consent was given, up to now, such as 2026-03-01 or 2026-03-01T10:15:00Z")
	errHow     = fmt.Errorf("is longer than %d bytes", maxHow)
	errVersion = errors.New("must be up to 40 letters, digits, dots, hyphens and underscores, such as 2026-01")

	versionForm = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9._]{0,38}[A-Za-z0-9])?$`)
)

// setProof fills one part of a proof.
func setProof(proof *store.Proof, part kind, text string, now time.Time) error {
	text = strings.TrimSpace(text)
	switch part {
	case consentAt:
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			at, err = time.Parse(time.DateOnly, text)
		}
		if err != nil || at.Year() < 1900 {
			return errGivenAt
		}
		if at.After(now.Add(24 * time.Hour)) { // clocks and zones differ
			return errFuture
		}
		proof.GivenAt = at.UTC().Format(time.RFC3339)
	case consentHow:
		if len(text) > maxHow {
			return errHow
		}
		proof.Method = text
	case consentText:
		if !versionForm.MatchString(text) {
			return errVersion
		}
		proof.TextVersion = text
	case externalID, email, phone, tags, locale, timeZone, attribute, consent:
	}
	return nil
}

// check reads a proof of an item. Empty parts are not known.
func (p ConsentProof) check(now time.Time) (store.Proof, error) {
	var proof store.Proof
	for _, part := range []struct {
		name string
		kind kind
		text string
	}{{"at", consentAt, p.At}, {"how", consentHow, p.How}, {"text", consentText, p.Text}} {
		if part.text == "" {
			continue
		}
		if err := setProof(&proof, part.kind, part.text, now); err != nil {
			return proof, named(part.name, err)
		}
	}
	return proof, nil
}
