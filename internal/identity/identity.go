// Package identity decides which records are one person: what identifies somebody and how strongly, who is who according to all
// that is known, and which of several values of a person counts. It is pure: what is known goes in, people come out, and when it
// came makes no difference to who they are.
package identity

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// The types of identifiers beside those of internal/crm.
const (
	// Mastodon is an actor of the fediverse, by its URI.
	Mastodon = "mastodon"
	// Bluesky is an account of the AT protocol, by its DID.
	Bluesky = "bluesky"
	// Handle is a name on a network, which can be given up and taken by somebody else.
	Handle = "handle"
)

// external begins the types of other systems' ids.
var external = crm.ExternalIdentifier("")

// Type is a type of identifiers.
type Type struct {
	Name string
	// Strong tells that records which have the same identifier, verified, are one person.
	Strong bool
	// Limit is how many identifiers of the type a person may come to have by records that are joined without anybody's decision. A
	// source tells its customers apart: two ids of one source are two people until somebody says otherwise.
	Limit int
	// priority orders the types: what identifies better joins first.
	priority int
	// normalize returns the form under which a value is one identifier. Its error completes "the value …".
	normalize func(string) (string, error)
}

// types is the registry. A type is added by a line here.
var types = map[string]Type{
	external:            {Strong: true, Limit: 1, priority: 0, normalize: crm.NormalizeExternalID},
	Bluesky:             {Strong: true, Limit: 3, priority: 1, normalize: normalizeDID},
	Mastodon:            {Strong: true, Limit: 5, priority: 2, normalize: normalizeActor},
	crm.EmailIdentifier: {Strong: true, Limit: 10, priority: 3, normalize: crm.NormalizeEmail},
	crm.PhoneIdentifier: {Strong: true, Limit: 5, priority: 4, normalize: crm.NormalizePhone},
	Handle:              {Limit: 20, priority: 5, normalize: normalizeHandle},
}

// TypeOf finds a type by its name; that of another system's ids is external:<source>. ok is false for an unknown one.
func TypeOf(name string) (t Type, ok bool) {
	if source, is := strings.CutPrefix(name, external); is {
		t, ok = types[external], crm.IsSource(source)
	} else {
		t, ok = types[name]
	}
	t.Name = name
	return t, ok
}

// Extra are the types that a file may have a column of beside external_id, email and phone.
func Extra() []string { return []string{Bluesky, Handle, Mastodon} }

// Normalize returns the form under which a value is one identifier of a type. The error completes the sentence "the value …" and does not
// repeat it: who writes such values wants to know what to mend, and logs do not want to know whose they are.
func Normalize(name, value string) (string, error) {
	t, ok := TypeOf(name)
	if !ok {
		return "", fmt.Errorf("has the unknown type %q%s", clip(name), crm.DidYouMean(clip(name), Names()))
	}
	// A placeholder is named as what it is, and not as what it lacks to be an address.
	if IsBlocked(name, value) {
		return "", errBlocked
	}
	normal, err := t.normalize(value)
	if err != nil {
		return "", err
	}
	if IsBlocked(name, normal) {
		return "", errBlocked
	}
	return normal, nil
}

// Names are the names of the types, with external:<source> for other systems' ids.
func Names() []string {
	names := slices.Sorted(maps.Keys(types))
	names[slices.Index(names, external)] = external + "<source>"
	return names
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60]
	}
	return s
}

var (
	errBlocked = errors.New("is a placeholder that stands for nobody: leave it empty where nothing is known")
	errDID     = errors.New("is no DID of Bluesky, such as did:plc:ewvi7nxzyoun6zhxrhs64oiz or did:web:example.com: a handle goes into handle")
	errActor   = errors.New("is no URI of an actor, such as https://social.example/users/ana: a name such as @ana@social.example goes into handle")
	errHandle  = errors.New("is no handle, such as @ana@social.example or ana.bsky.social")
)

var (
	didPLC    = regexp.MustCompile(`^did:plc:[a-z2-7]{24}$`)
	webDomain = regexp.MustCompile(`^did:web:[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)
)

// maxValue bounds identifiers of networks, in bytes: they have to fit into an index with room to spare.
const maxValue = 500

func normalizeDID(text string) (string, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if len(text) > maxValue || !didPLC.MatchString(text) && !webDomain.MatchString(text) {
		return "", errDID
	}
	return text, nil
}

// normalizeActor keeps the path as it is: servers tell letters' case apart there.
func normalizeActor(text string) (string, error) {
	text = strings.TrimSpace(text)
	u, err := url.Parse(text)
	switch {
	case err != nil, len(text) > maxValue, !strings.EqualFold(u.Scheme, "https"), u.User != nil, u.RawQuery != "", u.Fragment != "", u.Port() != "",
		len(strings.Trim(u.Path, "/")) == 0, strings.ContainsFunc(text, isNoText):
		return "", errActor
	}
	// An address at the host tells whether the host is a domain, and gives it its one form.
	address, err := crm.NormalizeEmail("a@" + u.Hostname())
	if err != nil {
		return "", errActor
	}
	return "https://" + strings.TrimPrefix(address, "a@") + strings.TrimRight(u.EscapedPath(), "/"), nil
}

func normalizeHandle(text string) (string, error) {
	text = strings.ToLower(strings.TrimPrefix(strings.TrimSpace(text), "@"))
	if text == "" || len(text) > maxValue || strings.ContainsFunc(text, isNoText) || strings.ContainsAny(text, "/,;<>\"") {
		return "", errHandle
	}
	return text, nil
}

func isNoText(r rune) bool {
	return unicode.IsControl(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar
}

// blocked are values that forms, spreadsheets and programs write where nothing is known. They would make one person of strangers.
var blocked = map[string]bool{
	"null": true, "nil": true, "none": true, "undefined": true, "nan": true, "n/a": true, "na": true, "unknown": true, "anonymous": true,
	"guest": true, "test": true, "tbd": true, "(null)": true, "(none)": true, "#n/a": true, "-": true, "--": true, "?": true, "[object object]": true,
	"ninguno": true, "desconocido": true, "test@test": true, "test@test.com": true, "a@a.com": true, "no@no.com": true,
	"none@none.com": true, "noemail@noemail.com": true, "null@null.com": true, "asdf@asdf.com": true, "user@domain.com": true, "email@email.com": true,
	"00000000-0000-0000-0000-000000000000": true,
}

// IsBlocked tells whether a value of a type identifies nobody.
func IsBlocked(name, value string) bool {
	value = strings.ToLower(strings.TrimSpace(value))
	if blocked[value] {
		return true
	}
	digits := strings.TrimPrefix(value, "+")
	if name != crm.PhoneIdentifier {
		return len(digits) >= 2 && strings.Trim(digits, "0") == ""
	}
	// One digit over and over, behind a country's code of one or two: +34 000000000, +1 1111111111.
	for code := 1; code <= 2 && len(digits) > code+5; code++ {
		if national := digits[code:]; strings.Trim(national, national[:1]) == "" {
			return true
		}
	}
	return strings.Trim(digits, "0") == ""
}
