package automate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
)

// known is what there is in the tests' tenant.
func known() automate.Known {
	return automate.Known{
		Name: "this",
		Schema: crm.Schema{
			Attributes: []crm.Attribute{
				{Name: "plan", Type: crm.String, Enum: []string{"free", "club", "pro"}},
				{Name: "first_name", Type: crm.String, Personal: true},
				{Name: "birthday", Type: crm.Date},
				{Name: "renews_at", Type: crm.Timestamp},
				{Name: "lifetime_value", Type: crm.Decimal},
				{Name: "visits", Type: crm.Integer},
				{Name: "vip", Type: crm.Boolean},
			},
			Events: []crm.EventType{
				{Name: "purchase", Properties: []crm.Property{{Name: "amount", Type: crm.Decimal}, {Name: "sku", Type: crm.String}, {Name: "order", Type: crm.String}}},
				{Name: "review", Properties: []crm.Property{{Name: "order", Type: crm.String}, {Name: "stars", Type: crm.Integer}}},
			},
			Purposes: []string{"newsletter", "service"},
		},
		Segments:  []string{"lapsed", "vips"},
		Templates: []string{"welcome", "thanks"},
		Campaigns: []string{"spring"},
		Rules:     []string{"this", "other"},
		Queues:    []string{"social", "orders"},
		Channels:  map[string]string{"mail": "Email", "care": "Webhook", "toots": "Mastodon"},
		Monitors:  map[string][]string{"brand": {"velo", "bikes"}},
	}
}

// read makes a rule of the JSON in which it is stored.
func read(t testing.TB, text string) automate.Rule {
	t.Helper()
	var rule automate.Rule
	if err := json.Unmarshal([]byte(text), &rule); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return rule
}

func compile(t testing.TB, text string) *automate.Plan {
	t.Helper()
	plan, err := automate.Compile(read(t, text), known())
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// steps is a rule that purchases begin, with these steps.
func steps(list string) string { return `{"on": {"event": "purchase"}, "steps": [` + list + `]}` }

const (
	mail = `{"name": "mail", "send": {"template": "welcome", "channel": "mail", "purpose": "newsletter"}}`
	tell = `{"name": "tell", "notify": {"channel": "care"}}`
)

// wholeRule has a step of each verb.
const wholeRule = `{"on": {"event": "purchase", "quietFor": "30d"}, "when": "event.amount > 50 && contact.plan != \"pro\"", "key": "event.order",
	"reentry": {"mode": "After", "after": "30d"}, "exit": "\"stop\" in contact.tags", "maxPerHour": 100, "onEdit": "Move", "steps": [
	{"name": "hello", "send": {"template": "welcome", "channel": "mail", "purpose": "newsletter", "priority": "Transactional"}},
	{"name": "week", "wait": {"event": "review", "for": "7d", "when": "event.order == trigger.order && event.stars >= 4", "timeout": "which"}},
	{"name": "thank", "tag": "fan"},
	{"name": "which", "split": [{"weight": 50, "next": "morning"}, {"weight": 50, "next": "rich"}]},
	{"name": "morning", "wait": {"until": {"timeOfDay": "09:00", "weekdays": ["Monday"]}}},
	{"name": "rich", "if": {"condition": "contact.lifetime_value > event.amount", "then": "set", "else": "done"}},
	{"name": "set", "set": [{"attribute": "plan", "value": "club"}, {"attribute": "lifetime_value", "expression": "event.amount"}]},
	{"name": "tell", "notify": {"channel": "care", "template": "thanks"}},
	{"name": "go", "start": {"rule": "other"}},
	{"name": "off", "untag": "fan"},
	{"name": "done", "exit": {"reason": "all done"}}]}`

func TestARuleIsStoredAsItWas(t *testing.T) {
	rule := read(t, wholeRule)
	text, err := json.Marshal(rule)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rule, read(t, string(text))); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	if !strings.Contains(string(text), `"after":"30d"`) || !strings.Contains(string(text), `"for":"7d"`) {
		t.Errorf("durations are not written as manifests have them: %s", text)
	}
	for text, want := range map[string]string{"90d": "90d", "36h": "1d12h", "90m": "1h30m", "1d0h5s": "1d5s", "0s": "0s"} {
		d, err := automate.ParseDuration(text)
		if err != nil || d.String() != want {
			t.Errorf("%s is %s, %v, want %s", text, d, err, want)
		}
	}
}

func TestCheckTakes(t *testing.T) {
	for name, text := range map[string]string{
		"every verb":         wholeRule,
		"a segment":          `{"on": {"event": "segment.entered", "segment": "lapsed", "onEdits": true}, "when": "segment.reason == \"Time\"", "steps": [` + mail + `]}`,
		"a mention":          `{"on": {"event": "mention.received", "monitor": "brand", "topic": "velo"}, "key": "mention.thread", "when": "mention.sentiment < -0.5 && mention.author.followers > 1000 && mention.text.containsIgnoreCase(\"refund\") && !has(mention.author.handle)", "steps": [` + tell + `]}`,
		"an incident":        `{"on": {"event": "incident.opened", "monitor": "brand"}, "when": "incident.role == \"Brand\" && incident.peak > incident.usual", "steps": [` + tell + `]}`,
		"a click":            `{"on": {"event": "message.clicked", "campaign": "spring"}, "when": "message.link.contains(\"/club\")", "steps": [` + mail + `]}`,
		"a schedule":         `{"on": {"schedule": {"cron": "0 9 * * MON", "timeZone": "Europe/Madrid", "segment": "vips"}}, "steps": [` + mail + `]}`,
		"a bare schedule":    `{"on": {"schedule": {"cron": "0 9 * * MON", "timeZone": ""}}, "steps": [` + tell + `]}`,
		"a birthday":         `{"on": {"date": {"attribute": "birthday", "at": "09:00", "everyYear": true, "offsetDays": -3}}, "steps": [` + mail + `]}`,
		"a loop that waits":  steps(mail + `, {"name": "day", "wait": {"for": "1d"}, "next": "mail"}`),
		"until an attribute": steps(`{"name": "day", "wait": {"until": {"attribute": "renews_at", "offsetDays": -7, "timeOfDay": "10:00"}, "timeout": "mail"}}, ` + mail),
		"the clock":          steps(`{"name": "a", "if": {"condition": "contact.renews_at < ahead(\"7d\") && now > ago(\"1d\")", "then": "mail", "else": "tell"}}, ` + mail + ", " + tell),
	} {
		if err := automate.Check(read(t, text), known()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What is nil is not looked up.
	if err := automate.Check(read(t, wholeRule), automate.Known{Schema: known().Schema}); err != nil {
		t.Errorf("without objects: %v", err)
	}
}

func TestCheckRefuses(t *testing.T) {
	on := func(trigger string) string { return `{"on": ` + trigger + `, "steps": [` + tell + `]}` }
	for text, want := range map[string]string{
		// What it begins with.
		on(`{}`): "trigger: a rule begins with one thing: write an event, a schedule or a date, and only one of them",
		on(`{"event": "purchase", "date": {"attribute": "birthday", "at": "09:00"}}`): "trigger: a rule begins with one thing",
		on(`{"event": "purchse"}`):                                                                                 `trigger.event: there is no event and no EventType "purchse": did you mean "purchase"?`,
		on(`{"event": "mention.recieved"}`):                                                                        `did you mean "mention.received"?`,
		on(`{"event": "segment.entered"}`):                                                                         "trigger.segmentRef: name a Segment",
		on(`{"event": "segment.left", "segment": "lapse"}`):                                                        `trigger.segmentRef: there is no Segment "lapse": did you mean "lapsed"?`,
		on(`{"event": "purchase", "segment": "lapsed"}`):                                                           "trigger.segmentRef: it does not narrow purchase down: remove it; it takes quietFor",
		on(`{"event": "contact.created", "campaign": "spring"}`):                                                   "trigger.campaignRef: it does not narrow contact.created down: remove it; it takes none of these fields",
		on(`{"event": "mention.received", "topic": "velo"}`):                                                       "trigger.topic: a topic is one of a monitor: name its monitor too",
		on(`{"event": "mention.received", "monitor": "brand", "topic": "vello"}`):                                  `trigger.topic: Monitor "brand" has no topic "vello": did you mean "velo"?`,
		on(`{"event": "mention.received", "monitor": "bran"}`):                                                     `there is no Monitor "bran": did you mean "brand"?`,
		on(`{"event": "message.opened", "campaign": "sprung"}`):                                                    `there is no Campaign "sprung": did you mean "spring"?`,
		on(`{"schedule": {"cron": "9 o'clock", "timeZone": ""}}`):                                                  "trigger.schedule.cron: cron \"9 o'clock\"",
		on(`{"schedule": {"cron": "", "timeZone": "Mars/Olympus"}}`):                                               `time zone "Mars/Olympus" is unknown`,
		on(`{"date": {"attribute": "birthdya", "at": "09:00"}}`):                                                   `trigger.date.attribute: contact has no attribute "birthdya": did you mean "birthday"?`,
		on(`{"date": {"attribute": "renews_at", "at": "09:00"}}`):                                                  "contact.renews_at (Timestamp) is no Date: there is birthday",
		on(`{"date": {"attribute": "birthday", "at": "24:00"}}`):                                                   "a day ends at 24:00",
		on(`{"date": {"attribute": "birthday", "at": "9am", "offsetDays": 5000}}`):                                 "5000 days are too many",
		`{"on": {"event": "purchase"}, "key": "event.sky", "steps": [` + tell + `]}`:                               `key: "event.sky" is no field of what happened: did you mean "event.sku"?`,
		`{"on": {"event": "purchase"}, "key": "event.amount", "steps": [` + tell + `]}`:                            "key: entries cannot be told apart by event.amount",
		`{"on": {"event": "mention.received"}, "key": "mention.author.handle", "steps": [` + tell + `]}`:           "entries cannot be told apart by mention.author.handle",
		`{"on": {"event": "contact.created"}, "key": "contact.id", "steps": [` + tell + `]}`:                       "contact.created tells nothing by which entries could be told apart",
		`{"on": {"event": "purchase"}, "reentry": {"mode": "Sometimes"}, "steps": [` + tell + `]}`:                 `reentry: "Sometimes" is unknown: write Never, After or Always`,
		`{"on": {"event": "purchase"}, "reentry": {"mode": "After"}, "steps": [` + tell + `]}`:                     "reentry.after: 0s is too short: write at least 1s",
		`{"on": {"event": "purchase"}, "reentry": {"after": "1d"}, "steps": [` + tell + `]}`:                       "reentry.after: it is for the mode After",
		`{"on": {"event": "purchase"}, "maxPerHour": -1, "steps": [` + tell + `]}`:                                 "maxPerHour: -1 entries are none",
		`{"on": {"event": "purchase"}, "onEdit": "Stop", "steps": [` + tell + `]}`:                                 `onEdit: "Stop" is unknown: write Finish or Move`,
		`{"on": {"event": "purchase"}, "steps": []}`:                                                               "steps: a rule has at least one step",
		`{"on": {"event": "purchase"}, "when": "event.amont > 1", "steps": [` + tell + `]}`:                        `when:1:7: event has no field "amont": did you mean "amount"?`,
		`{"on": {"event": "purchase"}, "exit": "contact.first_name == \"Ana\"", "steps": [` + tell + `]}`:          "exit:1:9: contact.first_name is personal and must not single out a person",
		`{"on": {"event": "mention.received"}, "when": "mention.text == \"hello\"", "steps": [` + tell + `]}`:      "when:1:9: mention.text is what somebody wrote, and as a whole it singles out a person: search in it",
		`{"on": {"event": "mention.received"}, "when": "mention.author.handle == \"x\"", "steps": [` + tell + `]}`: "mention.author.handle singles out a person",
		`{"on": {"event": "mention.received"}, "when": "mention.author == null", "steps": [` + tell + `]}`:         "mention.author is not a value: name one of its fields, such as mention.author.followers",
		`{"on": {"event": "mention.received"}, "when": "mention.author.folowers > 1", "steps": [` + tell + `]}`:    `when:1:16: mention.author has no field "folowers": did you mean "followers"?`,
		`{"on": {"event": "mention.received"}, "when": "mention.athor.followers > 1", "steps": [` + tell + `]}`:    `when:1:9: mention has no field "athor": did you mean "author"?`,
		`{"on": {"event": "incident.opened"}, "when": "contact.vip", "steps": [` + tell + `]}`:                     "when: it asks a contact, and incident.opened has none: ask what happened instead",
		// Steps.
		steps(`{"name": "Mail", "tag": "x"}`):                                                                                             `step "Mail", name: step 1 needs a name of lower-case letters`,
		steps(`{"name": "a", "tag": "x"}, {"name": "a", "tag": "y"}`):                                                                     `step "a", name: steps 1 and 2 have one name`,
		steps(`{"name": "a"}`):                                                                                                            `step "a", it does nothing`,
		steps(`{"name": "a", "tag": "x", "untag": "y"}`):                                                                                  `step "a", it does several things (tag, untag): make a step of each`,
		steps(`{"name": "a", "tag": "x", "next": "bb"}, {"name": "b", "tag": "x"}`):                                                       `step "a", next: there is no step "bb": did you mean "b"?`,
		steps(`{"name": "a", "tag": " x"}`):                                                                                               `step "a", tag: a tag has at most 100 characters`,
		steps(`{"name": "a", "send": {"template": "wellcome", "channel": "mail", "purpose": "newsletter"}}`):                              `step "a", send.templateRef: there is no MessageTemplate "wellcome": did you mean "welcome"?`,
		steps(`{"name": "a", "send": {"template": "welcome", "channel": "care", "purpose": "newsletter"}}`):                               `send.channelRef: MessageChannel "care" is of type Webhook, and this step needs one of type Email`,
		steps(`{"name": "a", "send": {"template": "welcome", "channel": "mail", "purpose": "newsleter", "priority": "High"}}`):            `no ConsentPolicy has the purpose "newsleter": did you mean "newsletter"?`,
		steps(`{"name": "a", "send": {"template": "welcome", "channel": "mail", "purpose": "service", "priority": "High"}}`):              `send.priority: "High" is unknown: write Bulk or Transactional`,
		steps(`{"name": "a", "notify": {"channel": "mail"}}`):                                                                             "this step needs one of type Webhook",
		steps(`{"name": "a", "start": {"rule": "othr"}}`):                                                                                 `start.ruleRef: there is no AutomationRule "othr": did you mean "other"?`,
		steps(`{"name": "a", "exit": {}, "next": "a"}`):                                                                                   "nothing comes behind an exit",
		steps(`{"name": "a", "wait": {}}`):                                                                                                "write how long it waits in for",
		steps(`{"name": "a", "wait": {"for": "1d", "until": {"timeOfDay": "09:00"}}}`):                                                    "and only one of them",
		steps(`{"name": "a", "wait": {"event": "review"}}`):                                                                               "what may never come is not awaited for ever",
		steps(`{"name": "a", "wait": {"event": "reviw", "for": "1d"}}`):                                                                   `wait.event: there is no event and no EventType "reviw": did you mean "review"?`,
		steps(`{"name": "a", "wait": {"event": "incident.closed", "for": "1d"}}`):                                                         "incident.closed concerns no contact",
		steps(`{"name": "a", "wait": {"for": "4000d"}}`):                                                                                  "wait.for: 4000d is too long: at most 3650d are allowed",
		steps(`{"name": "a", "wait": {"for": "1d", "timeout": "a"}}`):                                                                     "only what is awaited can fail to come",
		steps(`{"name": "a", "wait": {"for": "1d", "when": "true"}}`):                                                                     "it is a condition on an awaited event",
		steps(`{"name": "a", "wait": {"event": "review", "for": "1d", "when": "event.amount > 1"}}`):                                      `wait.when:1:7: event has no field "amount"`,
		steps(`{"name": "a", "wait": {"event": "review", "for": "1d", "timeout": "b"}}`):                                                  `wait.onTimeout: there is no step "b"`,
		steps(`{"name": "a", "wait": {"until": {}}}`):                                                                                     "write at, timeOfDay, weekdays or attribute",
		steps(`{"name": "a", "wait": {"until": {"at": "2027-03-21T09:00:00", "timeOfDay": "09:00"}}}`):                                    "at is a moment by itself",
		steps(`{"name": "a", "wait": {"until": {"at": "tomorrow"}}}`):                                                                     `"tomorrow" is no local date and time`,
		steps(`{"name": "a", "wait": {"until": {"weekdays": ["Caturday"]}}}`):                                                             `"Caturday" is no day of the week`,
		steps(`{"name": "a", "wait": {"until": {"attribute": "plan"}}}`):                                                                  "contact.plan (String) is neither a Date nor a Timestamp: there is birthday, renews_at",
		steps(`{"name": "a", "wait": {"until": {"timeOfDay": "09:00", "offsetDays": 1}}}`):                                                "it counts from an attribute's day",
		steps(`{"name": "a", "if": {"condition": "event.amount", "then": "b"}}, {"name": "b", "tag": "x"}`):                               `step "a", if:1:7: the expression is event.amount (Decimal), not a condition`,
		steps(`{"name": "a", "if": {"condition": "true"}}`):                                                                               "both ways lead to the same step",
		steps(`{"name": "a", "split": [{"weight": 1, "next": "a"}]}`):                                                                     "a split has from 2 to 10 branches, and this one has 1",
		steps(`{"name": "a", "split": [{"weight": 0, "next": "b"}, {"weight": 1001}]}, {"name": "b", "tag": "x"}`):                        "branch 1 has the weight 0: write one from 1 to 1000",
		steps(`{"name": "a", "set": [{"attribute": "plam", "value": "x"}]}`):                                                              `contact has no attribute "plam": did you mean "plan"?`,
		steps(`{"name": "a", "set": [{"attribute": "plan", "value": "clubb"}]}`):                                                          `the value "clubb" of contact.plan is none of free, club, pro: did you mean "club"?`,
		steps(`{"name": "a", "set": [{"attribute": "visits", "value": "many"}]}`):                                                         `the value "many" of contact.visits is no Integer`,
		steps(`{"name": "a", "set": [{"attribute": "plan"}]}`):                                                                            "contact.plan needs a value or an expression",
		steps(`{"name": "a", "set": [{"attribute": "plan", "value": "club"}, {"attribute": "plan", "value": "pro"}]}`):                    "contact.plan is set twice",
		steps(`{"name": "a", "set": [{"attribute": "visits", "expression": "event.sku"}]}`):                                               `set.visits:1:7: contact.visits (Integer) cannot be given event.sku (String)`,
		steps(`{"name": "a", "set": [{"attribute": "plan", "expression": "\"gold\""}]}`):                                                  `contact.plan is never "gold": there is club, free, pro`,
		`{"on": {"event": "incident.opened"}, "steps": [` + mail + `]}`:                                                                   `step "mail", send: it is for a contact, and incident.opened has none: use another trigger, or notify`,
		`{"on": {"schedule": {"cron": "@daily", "timeZone": "UTC"}}, "steps": [{"name": "a", "wait": {"event": "review", "for": "1d"}}]}`: "a schedule without a segment has none: wait for some time instead",
		// Ways.
		steps(`{"name": "a", "exit": {}}, {"name": "b", "tag": "x"}`):                                                `step "b", no step leads here`,
		steps(`{"name": "a", "tag": "x"}, {"name": "b", "untag": "x", "next": "a"}`):                                 `step "a", steps lead round in a circle without a wait: a → b → a`,
		steps(`{"name": "a", "tag": "x"}, {"name": "w", "wait": {"for": "2s"}, "next": "a"}`):                        "circle without a wait: a → w → a: put a wait into it, for 1m at least",
		steps(`{"name": "a", "tag": "x"}, {"name": "w", "wait": {"until": {"attribute": "birthday"}}, "next": "a"}`): "circle without a wait",
		steps(`{"name": "a", "start": {"rule": "this"}}`):                                                            `step "a", start.ruleRef: rules start each other in a circle without a wait: this → this`,
	} {
		err := automate.Check(read(t, text), known())
		var failed *automate.Error
		if !errors.As(err, &failed) || !strings.Contains(failed.Error(), want) {
			t.Errorf("%s\nsays: %v\nwant: %s", text, err, want)
		}
	}
}

func TestTooManySteps(t *testing.T) {
	list := make([]string, 101)
	for i := range list {
		list[i] = fmt.Sprintf(`{"name": "s%d", "tag": "x"}`, i)
	}
	if err := automate.Check(read(t, steps(strings.Join(list[:100], ","))), known()); err != nil {
		t.Errorf("a hundred: %v", err)
	}
	if err := automate.Check(read(t, steps(strings.Join(list, ","))), known()); err == nil || !strings.Contains(err.Error(), "there are 101 steps, and at most 100 are allowed") {
		t.Errorf("a hundred and one: %v", err)
	}
}

// TestWhatIsMissingHeals: only an edit mends other mistakes.
func TestWhatIsMissingHeals(t *testing.T) {
	for text, waits := range map[string]bool{
		`{"on": {"event": "order"}, "when": "event.amount > 1", "key": "event.id", "steps": [{"name": "i", "if": {"condition": "event.x", "then": "tell"}}, {"name": "t", "tag": "x"}, ` + tell + `]}`: true,
		steps(`{"name": "a", "start": {"rule": "x"}}, {"name": "b", "notify": {"channel": "x"}}`):                                                                                                      true,
		steps(`{"name": "a", "start": {"rule": "x"}}, {"name": "b", "notify": {"channel": "mail"}}`):                                                                                                   false,
	} {
		var failed *automate.Error
		if err := automate.Check(read(t, text), known()); !errors.As(err, &failed) || failed.Waits() != waits {
			t.Errorf("%s: %v waits %v, want %v", text, err, !waits, waits)
		}
	}
}

func TestRulesThatStartEachOther(t *testing.T) {
	rules := map[string]string{
		"a": steps(`{"name": "s", "start": {"rule": "b"}}`),
		"b": steps(`{"name": "t", "tag": "x"}, {"name": "s", "start": {"rule": "c"}}`),
		"c": steps(`{"name": "i", "if": {"condition": "event.amount > 1", "then": "s", "else": "w"}}, {"name": "w", "wait": {"for": "1d"}, "next": "d"}, {"name": "s", "start": {"rule": "a"}}, {"name": "d", "start": {"rule": "d"}}`),
		"d": steps(`{"name": "w", "wait": {"for": "1d"}}, {"name": "s", "start": {"rule": "d"}}`),
	}
	starts := func(name string) []string { return automate.Starts(read(t, rules[name])) }
	for name, want := range map[string][]string{"a": {"a", "b", "c", "a"}, "b": {"b", "c", "a", "b"}, "c": {"c", "a", "b", "c"}, "d": nil} {
		if diff := cmp.Diff(want, automate.Cycle(name, starts)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	k := known()
	k.Name, k.Rules, k.Starts = "a", nil, map[string][]string{"b": starts("b"), "c": starts("c")}
	want := `step "s", start.ruleRef: rules start each other in a circle without a wait: a → b → c → a: put a wait, for 1m at least, before the start in one of them`
	if err := automate.Check(read(t, rules["a"]), k); err == nil || err.Error() != want {
		t.Errorf("says %v\nwant %s", err, want)
	}
}

// FuzzCompile throws definitions at the checker. It never panics, and what it takes can be gone through without an end of steps.
func FuzzCompile(f *testing.F) {
	f.Add(wholeRule)
	f.Add(steps(mail + `, {"name": "day", "wait": {"for": "1d"}, "next": "mail"}`))
	f.Add(`{"on": {"date": {"attribute": "birthday", "at": "09:00", "everyYear": true}}, "steps": [{"name": "w", "wait": {"until": {"attribute": "birthday", "weekdays": ["Sunday"], "offsetDays": 3650}}}]}`)
	f.Add(`{"on": {"schedule": {"cron": "* * * * *"}}, "steps": [{"name": "a", "next": "a", "start": {"rule": "\u0000"}}, {"name": "a"}]}`)
	f.Add(`{"steps": [{"name": "\"];evil", "split": [{"next": "x"}, {}]}, {"if": {}}, {"set": [{}]}, {"wait": {"until": {"at": "-1"}}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var rule automate.Rule
		if json.Unmarshal([]byte(text), &rule) != nil {
			return
		}
		_ = automate.Starts(rule)
		plan, err := automate.Compile(rule, known())
		if err != nil {
			var failed *automate.Error
			if !errors.As(err, &failed) || len(failed.Issues) == 0 {
				t.Errorf("%v names nothing", err)
			}
			return
		}
		checkDrawing(t, plan)
		now := time.Date(2027, 3, 28, 0, 30, 0, 0, time.UTC)
		s := plan.Begin(now)
		for turn := range 500 {
			out := plan.Next(s, automate.Input{Now: now, Contact: turn%2 == 0, Seed: "x", Answers: answersFor(plan, turn%3 == 0)})
			if out.State.Status == automate.Stuck || len(out.Asks) > 0 {
				t.Fatalf("%s: %+v", text, out)
			}
			if s = out.State; s.Status.Over() {
				return
			}
			if s.WakeAt.Before(now) {
				t.Fatalf("%s: it waits until %v, which is over at %v", text, s.WakeAt, now)
			}
			now = s.WakeAt
		}
	})
}

// answersFor answers all conditions alike.
func answersFor(plan *automate.Plan, holds bool) map[int]bool {
	answers := map[int]bool{}
	for i := range plan.Conditions() {
		answers[i] = holds
	}
	return answers
}
