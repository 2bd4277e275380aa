// Package listening is what the controllers of sources and of monitors read alike: terms to look for.
package listening

import (
	"errors"
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
)

// Terms are declared terms as posts are searched for them. The error waits for an operator that knows what this one does not.
func Terms(field string, declared []v1alpha1.TopicTerm) ([]match.Term, error) {
	var terms []match.Term
	for i := range declared {
		t := &declared[i]
		if err := known(field, t); err != nil {
			return nil, err
		}
		term := match.Term{
			Word: t.Word, Phrase: t.Phrase, Hashtag: t.Hashtag, Account: t.Account, Author: t.Author, Link: t.Link,
			Language: t.Language, Letters: match.Letters(t.Letters), Case: t.Case,
		}
		for _, form := range t.Forms {
			term.Forms = append(term.Forms, match.Form(form))
		}
		if near := t.Near; near != nil {
			term.Near = &match.Near{Words: slices.Clone(near.Words), Within: int(near.Within), Ordered: near.Ordered}
		}
		terms = append(terms, term)
	}
	return terms, nil
}

// known refuses values of a later version, which must not be read as something else.
func known(field string, t *v1alpha1.TopicTerm) error {
	for _, form := range t.Forms {
		switch form {
		case v1alpha1.ExactForm, v1alpha1.PluralForm, v1alpha1.GenderForm, v1alpha1.VerbForm:
		default:
			return reconciling.UnknownToOperator(field+": forms", string(form))
		}
	}
	switch t.Letters {
	case "", v1alpha1.LooseLetters, v1alpha1.StrictLetters:
	default:
		return reconciling.UnknownToOperator(field+": letters", string(t.Letters))
	}
	switch t.Language {
	case "", match.Spanish, match.English:
	default:
		return reconciling.UnknownToOperator(field+": language", t.Language)
	}
	return nil
}

// Check compiles topics, and stalls with all that is wrong with them: each topic and term by name, and how to mend it.
func Check(field string, topics []match.Topic) error {
	_, err := match.Compile(topics)
	if err == nil {
		return nil
	}
	var told []string
	for _, one := range parts(err) {
		told = append(told, one.Error())
	}
	return reconciling.Stall(v1alpha1.TopicInvalidReason, "%s: %s.", field, strings.Join(told, "; "))
}

func parts(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return []error{err}
}

// Count is how many terms topics have.
func Count(topics []v1alpha1.MonitorTopic) int {
	total := 0
	for i := range topics {
		t := &topics[i]
		total += len(t.Any) + len(t.With) + len(t.None) + len(t.Except)
	}
	return total
}
