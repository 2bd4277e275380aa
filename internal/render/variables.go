package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// UnsubscribeURL is the variable that holds the recipient's link for unsubscribing.
const UnsubscribeURL = "unsubscribe_url"

// Variables lists the variables that the template reads in any of its parts, dotted and sorted: contact.first_name,
// unsubscribe_url. Variables of its own (assign, capture, for) are not among them.
func (t *Template) Variables() []string {
	names := make([]string, 0, len(t.uses))
	for _, u := range t.uses {
		names = append(names, u.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Unknown checks the template against the variables that it will be given (contact.first_name, tenant.name …). The
// error is of type Errors: every use of another name, with its position and the nearest known name; nil without one.
// What follows a known name (contact.tags.first) belongs to its value and is not checked.
func (t *Template) Unknown(known []string) error {
	var errs Errors
	for _, u := range t.uses {
		if isKnown(u.name, known) {
			continue
		}
		errs = append(errs, &Error{
			Locale: u.locale, Part: u.part, Line: u.line, Column: u.column,
			Message: fmt.Sprintf("unknown variable %q%s", u.name, didYouMean(u.name, known)),
		})
	}
	if len(errs) == 0 {
		return nil
	}
	return errs
}

func isKnown(name string, known []string) bool {
	for _, k := range known {
		if name == k || strings.HasPrefix(name, k+".") || strings.HasPrefix(k, name+".") {
			return true
		}
	}
	return false
}

// didYouMean looks among the names beside this one first: in contact.fist_name the mistake is in the last part.
func didYouMean(name string, known []string) string {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return crm.DidYouMean(name, known)
	}
	prefix := name[:dot+1]
	var beside []string
	for _, k := range known {
		if rest, ok := strings.CutPrefix(k, prefix); ok {
			beside = append(beside, rest)
		}
	}
	if len(beside) == 0 {
		return crm.DidYouMean(name, known)
	}
	if near := crm.Nearest(name[dot+1:], beside); near != "" {
		return fmt.Sprintf(": did you mean %q?", prefix+near)
	}
	return ""
}

// WithoutUnsubscribe lists the locales whose content shows the reader no link for unsubscribing. Mail clients still
// get one in a header, but not all of them show it. What has neither subject nor HTML is no mail and needs none.
func (t *Template) WithoutUnsubscribe() []string {
	uses := map[string]bool{}
	for _, u := range t.uses {
		if u.name == UnsubscribeURL && u.part != PartSubject {
			uses[canonicalLocale(u.locale)] = true
		}
	}
	var out []string
	for locale, c := range t.contents {
		if !uses[locale] && !c.isPost() {
			out = append(out, c.locale)
		}
	}
	slices.Sort(out)
	return out
}
