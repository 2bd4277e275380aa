package automate_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/automate"
)

// journey is a rule of some weeks.
const journey = `{"on": {"event": "purchase"}, "when": "event.amount > 20.0 && contact.plan != \"pro\"", "exit": "contact.visits == 99", "steps": [
	{"name": "tag", "tag": "buyer"},
	{"name": "seen", "if": {"condition": "\"buyer\" in contact.tags && has(contact.first_name)", "then": "spent", "else": "done"}},
	{"name": "spent", "set": [{"attribute": "lifetime_value", "expression": "event.amount"}, {"attribute": "plan", "value": "club"}]},
	{"name": "review", "wait": {"event": "review", "for": "14d", "when": "event.order == trigger.order && event.stars > 3", "timeout": "remind"}},
	{"name": "thank", "send": {"template": "thanks", "channel": "mail", "purpose": "service"}},
	{"name": "monday", "wait": {"until": {"weekdays": ["Monday"], "timeOfDay": "09:00"}}},
	{"name": "rich", "if": {"condition": "contact.lifetime_value > 40.0 && contact.plan == \"club\"", "then": "tell", "else": "done"}},
	{"name": "tell", "notify": {"channel": "care"}, "next": "done"},
	{"name": "remind", "send": {"template": "welcome", "channel": "mail", "purpose": "service"}},
	{"name": "done", "exit": {"reason": "all is done"}}]}`

const sampleEvent = `{"event": "purchase", "at": "2027-03-23T10:00:00Z", "fields": {"amount": 49.5, "order": "A1"},
	"contact": {"attributes": {"plan": "free", "first_name": "Ana", "visits": 3}, "tags": ["vip"], "timeZone": "Europe/Madrid"},
	"later": [{"event": "review", "after": "1d", "fields": {"order": "B2", "stars": 5}}, {"event": "review", "after": "3d", "fields": {"order": "A1", "stars": 5}}]}`

// try runs a sample and writes down what happened.
func try(t *testing.T, plan *automate.Plan, text, until string) (automate.Trial, string) {
	t.Helper()
	sample, err := automate.ReadSample(plan, []byte(text), start, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	var end time.Time
	if until != "" {
		end = at(t, until)
	}
	trial, err := automate.DryRun(plan, sample, end)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, s := range trial.Steps {
		fmt.Fprintf(&b, "%s %s %s", s.At.Format("01-02T15:04"), s.Step, s.How)
		for _, part := range s.Why {
			fmt.Fprintf(&b, "; %s", part)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%s %s", trial.Status, trial.Reason)
	return trial, b.String()
}

func TestDryRun(t *testing.T) {
	plan := compile(t, journey)
	trial, got := try(t, plan, sampleEvent, "")
	want := `03-23T10:00 tag Done
03-23T10:00 seen Then; "buyer" in contact.tags holds: contact.tags is ["vip", "buyer"]; has(contact.first_name) holds
03-23T10:00 spent Done
03-23T10:00 review Waits
03-26T10:00 review Arrived; event.order == trigger.order holds: event.order is "A1", trigger.order is "A1"; event.stars > 3 holds: event.stars is 5
03-26T10:00 thank Done
03-26T10:00 monday Waits
03-29T07:00 monday Elapsed
03-29T07:00 rich Then; contact.lifetime_value > 40.0 holds: contact.lifetime_value is 49.5; contact.plan == "club" holds: contact.plan is "club"
03-29T07:00 tell Done
03-29T07:00 done Left
Exited all is done`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	text, err := json.Marshal(trial)
	if err != nil || strings.Contains(string(text), "Ana") {
		t.Errorf("%s, %v", text, err)
	}

	// The clock stops before the review.
	trial, got = try(t, plan, sampleEvent, "2027-03-25T00:00:00Z")
	if trial.Status != automate.Waiting || trial.Awaits != "review" || !trial.WakeAt.Equal(at(t, "2027-04-06T10:00:00Z")) || strings.Contains(got, "thank") {
		t.Errorf("%s", got)
	}
	// Nobody reviews.
	_, got = try(t, plan, `{"at": "2027-03-23T10:00:00Z", "fields": {"amount": 49.5, "order": "A1"}, "contact": {"attributes": {"first_name": "Ana"}}}`, "")
	if !strings.Contains(got, "04-06T10:00 review TimedOut\n04-06T10:00 remind Done\n04-06T10:00 done Left\nExited all is done") {
		t.Errorf("%s", got)
	}
	// The exit holds when it wakes.
	_, got = try(t, plan, `{"at": "2027-03-23T10:00:00Z", "fields": {"amount": 49.5}, "contact": {"attributes": {"first_name": "Ana", "visits": 99}}}`, "")
	if !strings.HasSuffix(got, "04-06T10:00 review Left; contact.visits == 99 holds: contact.visits is 99\nExited its exit condition holds") {
		t.Errorf("%s", got)
	}
}

func TestDryRunTellsWhyNothingBegins(t *testing.T) {
	plan := compile(t, journey)
	for text, want := range map[string]string{
		`{"fields": {"amount": 10}, "contact": {"attributes": {"plan": "club"}}}`: `event.amount > 20.0 does not hold: event.amount is 10`,
		`{"fields": {"amount": 50}, "contact": {"attributes": {"plan": "pro"}}}`:  `contact.plan != "pro" does not hold: contact.plan is "pro"`,
		`{"fields": {"amount": 50}}`: `event.amount > 20.0 && contact.plan != "pro" does not hold: contact is not known`,
	} {
		trial, _ := try(t, plan, text, "")
		if len(trial.Why) != 1 || trial.Begins || len(trial.Steps) > 0 || trial.Why[0].String() != want {
			t.Errorf("%s: %v, want %s", text, trial.Why, want)
		}
	}
}

func TestDryRunOfALoopIsCut(t *testing.T) {
	plan := compile(t, steps(mail+`, {"name": "day", "wait": {"for": "1d"}, "next": "mail"}`))
	trial, _ := try(t, plan, `{"contact": {}}`, "")
	if !trial.Cut || len(trial.Steps) < 200 || len(trial.Steps) > 210 {
		t.Errorf("%d steps, cut %v", len(trial.Steps), trial.Cut)
	}
	if trial, _ = try(t, plan, `{"contact": {}}`, "2027-03-30T00:00:00Z"); trial.Cut || trial.Status != automate.Waiting {
		t.Errorf("%d steps, cut %v", len(trial.Steps), trial.Cut)
	}
}

func TestSamplesThatAreWrong(t *testing.T) {
	plan := compile(t, journey)
	for text, want := range map[string]string{
		``:                             "EOF",
		`{"evnt": "purchase"}`:         `unknown field "evnt"`,
		`{} {}`:                        "behind the document stands more",
		`{"event": "review"}`:          `event: the rule begins with purchase, and not with "review"`,
		`{"fields": {"amuont": 1}}`:    `fields: event has no field "amuont": did you mean "amount"?`,
		`{"fields": {"amount": true}}`: `fields: event.amount is no Decimal: write it as JSON has it, such as 49.50`,
		`{"contact": {"attributes": {"plam": "x"}}}`:                                   `contact: contact has no field "plam": did you mean "plan"?`,
		`{"contact": {"timeZone": "Mars"}}`:                                            `contact: time zone "Mars" is unknown`,
		`{"contact": {"events": [{"event": "x"}]}}`:                                    `contact: events[0]: there is no event "x"`,
		`{"contact": {"messages": [{"what": "read"}]}}`:                                `contact: messages[0]: what is received, opened or clicked`,
		`{"later": [{"event": "review"}]}`:                                             `later[0]: it happens before the rule begins`,
		`{"later": [{"event": "reviw", "after": "1d"}]}`:                               `later[0]: there is no event "reviw": did you mean "review"?`,
		`{"later": [{"event": "contact.created", "after": "1d", "fields": {"x": 1}}]}`: `later[0]: of contact.created nothing is told: remove them`,
		`{"later": [{"event": "review", "after": "soon"}]}`:                            `must be a duration of days`,
	} {
		if _, err := automate.ReadSample(plan, []byte(text), start, time.UTC); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nsays: %v\nwant: %s", text, err, want)
		}
	}
}

// FuzzDryRun throws samples at a rule: it never panics and always ends.
func FuzzDryRun(f *testing.F) {
	f.Add(sampleEvent)
	f.Add(`{"at": "9999-12-31T23:59:59Z", "contact": {"attributes": {"birthday": "0001-01-01"}}}`)
	f.Add(`{"fields": {"amount": 1e60}, "contact": {"createdAt": "0001-01-01T00:00:00Z", "events": [{"event": "purchase", "before": "3650d"}]}, "later": [{"event": "review", "after": "1s"}]}`)
	plan := compile(f, journey)
	f.Fuzz(func(t *testing.T, text string) {
		sample, err := automate.ReadSample(plan, []byte(text), start, time.UTC)
		if err != nil {
			return
		}
		if _, err := automate.DryRun(plan, sample, time.Time{}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	})
}
