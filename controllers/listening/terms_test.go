package listening_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/listening"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
)

// names are the fields of a type as JSON has them.
func names(of any) []string {
	var found []string
	for t, i := reflect.TypeOf(of), 0; i < t.NumField(); i++ {
		found = append(found, strings.Split(t.Field(i).Tag.Get("json"), ",")[0])
	}
	return found
}

// TestTermsAreWrittenAsTheyAreStored compares the manifest's language with the one in which topics and keywords are stored: what
// one of them has and the other has not would be lost in between.
func TestTermsAreWrittenAsTheyAreStored(t *testing.T) {
	for what, pair := range map[string][2]any{
		"a term": {v1alpha1.TopicTerm{}, match.Term{}},
		"near":   {v1alpha1.TopicNear{}, match.Near{}},
	} {
		if diff := cmp.Diff(names(pair[1]), names(pair[0])); diff != "" {
			t.Errorf("%s: -stored +declared:\n%s", what, diff)
		}
	}
	declared := []v1alpha1.TopicTerm{
		{Word: "bici", Forms: []v1alpha1.TermForm{"Plural", "Gender"}, Language: "es", Letters: "Strict", Case: true},
		{Phrase: "velo ciclismo"},
		{Hashtag: "#velo"},
		{Account: "@velo"},
		{Author: "@velo@mastodon.example"},
		{Link: "velo.example"},
		{Near: &v1alpha1.TopicNear{Words: []string{"velo", "roto"}, Within: 5, Ordered: true}, Letters: "Loose"},
	}
	terms, err := listening.Terms("spec.x", declared)
	if err != nil {
		t.Fatal(err)
	}
	for i := range declared {
		want, _ := json.Marshal(declared[i])
		got, _ := json.Marshal(terms[i])
		if string(want) != string(got) {
			t.Errorf("declared %s is stored as %s", want, got)
		}
	}
}

func TestTermsOfALaterVersionAreWaitedFor(t *testing.T) {
	for name, term := range map[string]v1alpha1.TopicTerm{
		"a form":          {Word: "velo", Forms: []v1alpha1.TermForm{"Dual"}},
		"letters":         {Word: "velo", Letters: "Phonetic"},
		"of a language":   {Word: "velo", Language: "fr"},
		"one of the last": {Word: "velo", Forms: []v1alpha1.TermForm{"Plural", "Dual"}},
	} {
		if _, err := listening.Terms("spec.x", []v1alpha1.TopicTerm{{Word: "fine"}, term}); err == nil || !strings.Contains(err.Error(), v1alpha1.UnknownToOperatorReason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckTellsAllThatIsWrong(t *testing.T) {
	err := listening.Check("spec.topics", []match.Topic{
		{Name: "fine", Any: []match.Term{{Word: "velo"}}},
		{Name: "velo", Any: []match.Term{{Word: "velo"}, {Hashtag: "no spaces"}}, Except: []match.Term{{Near: &match.Near{Words: []string{"a", "b"}, Within: 2}}}},
	})
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, part := range []string{"spec.topics: ", `topic "velo": any 2, hashtag "no spaces"`, "; ", "except 1", v1alpha1.TopicInvalidReason} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error lacks %q: %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "fine") || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error says too much: %v", err)
	}
}
