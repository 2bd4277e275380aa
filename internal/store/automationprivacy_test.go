package store_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// TestAPostThatIsDeletedIsNotToldOf has a post be deleted before what a rule tells of it has left. What tells threads apart is no hash that others could make.
func TestAPostThatIsDeletedIsNotToldOf(t *testing.T) {
	l := newListening(t, "a")
	rule := on(automate.MentionReceived, automate.Step{Name: "tell", Notify: &automate.Notify{Channel: "hook"}},
		automate.Step{Name: "wait", Wait: &automate.Wait{For: days(1)}})
	rule.Key = "mention.thread"
	if _, _, err := l.SaveRule(t.Context(), store.RuleDefinition{Name: "r", Rule: rule}); err != nil {
		t.Fatal(err)
	}
	lease := l.lease("a")
	l.take(lease, post("1", secret, by("ana"), func(j *store.Judged) { j.Thread = "almirante" }))
	if done, err := store.NewRules(l.DB).HandleEvents(t.Context(), 10); err != nil || done.Entered != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	told := func() string {
		return strings.Join(query(t, l.DB, `select to_jsonb(o)::text from outbox o union all select to_jsonb(e)::text from automation_entry e
			union all select to_jsonb(p)::text from automation_pass p`), "\n")
	}
	if !strings.Contains(told(), "zarzuela") {
		t.Fatalf("it would be told %s", told())
	}
	sum := sha256.Sum256([]byte(`"almirante"`))
	if keys := query(t, l.DB, "select key from automation_pass"); len(keys) != 1 || strings.Contains(keys[0], hex.EncodeToString(sum[:8])) {
		t.Errorf("the keys are %q", keys)
	}
	l.batch(lease, listen.Batch{Deleted: []listen.Deletion{{PostID: "1"}}})
	for _, word := range []string{"zarzuela", "almirante", "ana@"} {
		if strings.Contains(told(), word) {
			t.Errorf("%q is left in %s", word, told())
		}
	}
	if got := query(t, l.DB, "select (body ->> 'rule') || ' ' || state from outbox"); len(got) != 1 || got[0] != "r pending" {
		t.Errorf("it is told %q", got)
	}
}
