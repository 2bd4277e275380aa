package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// trouble is what the status of a rule says after a worker has tidied up.
func (b *engineBench) trouble(rule string) string {
	b.Helper()
	if _, err := b.rules.SweepRules(b.ctx, 100); err != nil {
		b.Fatal(err)
	}
	state, err := b.db.LoadRuleState(b.ctx, rule)
	if err != nil {
		b.Fatal(err)
	}
	if (state.Trouble == "") != (state.TroubleSince == nil) {
		b.Errorf("%q since %v", state.Trouble, state.TroubleSince)
	}
	return state.Trouble
}

// TestATroubleIsTakenBackWhenTheRuleGoesWell has each kind of trouble come, stay, and go.
func TestATroubleIsTakenBackWhenTheRuleGoesWell(t *testing.T) {
	always := automate.Reentry{Mode: automate.ReentryAlways}
	tests := map[string]struct {
		rule             automate.Rule
		spoil, mend      func(*engineBench)
		says             string
		goesWellWithout  bool // nobody has to enter
		laterThanItBegan time.Duration
	}{
		"a condition that cannot be asked": {
			rule:  automate.Rule{When: `contact.plan == "gold"`},
			spoil: func(b *engineBench) { b.exec("alter table contact rename attr_plan to elsewhere") },
			mend: func(b *engineBench) {
				b.exec("alter table contact rename elsewhere to attr_plan")
				b.exec("update contact set attr_plan = 'gold'")
			},
			says: "Its condition cannot be asked",
		},
		"a circle": {
			rule: automate.Rule{Steps: []automate.Step{{Name: "again", Start: &automate.Start{Rule: "r"}}}},
			mend: func(b *engineBench) {
				b.exec("update automation_version set definition = definition || '{\"steps\": [{\"name\": \"tag\", \"tag\": \"x\"}]}'")
				b.exec("update automation_revision set revision = revision + 1")
			},
			says: "It triggers itself", laterThanItBegan: time.Hour,
		},
		"a rule that this program cannot carry out": {
			spoil: func(b *engineBench) {
				b.exec("update automation_version set definition = definition || '{\"when\": \"contact.gone\"}'")
				b.exec("update automation_revision set revision = revision + 1")
			},
			mend: func(b *engineBench) {
				b.exec("update automation_version set definition = definition - 'when'")
				b.exec("update automation_revision set revision = revision + 1")
			},
			says: "It cannot be carried out", goesWellWithout: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newEngineBench(t, 1)
			rule := test.rule
			rule.On, rule.Reentry = automate.Trigger{Event: "purchased"}, always
			if rule.Steps == nil {
				rule.Steps = []automate.Step{{Name: "tag", Tag: "x"}}
			}
			b.save("r", rule)
			if test.spoil != nil {
				test.spoil(b)
			}
			b.purchase(1, "1")
			b.work()
			if got := b.trouble("r"); !strings.HasPrefix(got, test.says) {
				t.Errorf("the status says %q", got)
			}
			test.mend(b)
			b.ahead = test.laterThanItBegan
			if !test.goesWellWithout {
				if b.trouble("r") == "" {
					t.Error("it was taken back before anybody entered")
				}
			}
			b.purchase(1, "1")
			b.work()
			if got := b.trouble("r"); got != "" {
				t.Errorf("the status still says %q", got)
			}
		})
	}
}

// TestWhatDoesNotArriveIsATroubleUntilItDoes has a channel refuse what a rule tells, and then take it.
func TestWhatDoesNotArriveIsATroubleUntilItDoes(t *testing.T) {
	b := newEngineBench(t, 1)
	rule := on("purchased", automate.Step{Name: "tell", Notify: &automate.Notify{Channel: "hook"}})
	rule.Reentry = automate.Reentry{Mode: automate.ReentryAlways}
	b.save("r", rule)
	settle := func(state store.PostingState) {
		t.Helper()
		b.purchase(1, "1")
		b.work()
		list, err := b.rules.TakeOutbox(b.ctx, "hook", 10, time.Minute)
		if err != nil || len(list) != 1 {
			t.Fatalf("%d postings, %v", len(list), err)
		}
		b.must(b.rules.SettleOutbox(b.ctx, []store.Posted{{Posting: list[0], State: state, Reply: "no"}}))
	}
	settle(store.PostingFailed)
	if got := b.trouble("r"); !strings.Contains(got, `"tell"`) {
		t.Errorf("the status says %q", got)
	}
	settle(store.PostingSent)
	if got := b.trouble("r"); got != "" {
		t.Errorf("the status still says %q", got)
	}
}
