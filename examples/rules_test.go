package examples_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/automationrule"
	"github.com/tertulia-crm/tertulia/controllers/servicequeue"
	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/service"
)

// TestRulesAreSound checks every rule of the example against what the example declares.
func TestRulesAreSound(t *testing.T) {
	objects := slices.Concat(objectsOf(t, "velo/crm"), objectsOf(t, "velo/rules"), objectsOf(t, "velo/service"))
	known := automate.Known{Schema: schemaOf(t, objects), Channels: map[string]string{}, Monitors: map[string][]string{}, Campaigns: []string{}}
	var rules []v1alpha1.AutomationRule
	for _, object := range objects {
		name := object.GetName()
		switch object.GetKind() {
		case "Segment":
			known.Segments = append(known.Segments, name)
		case "MessageTemplate":
			known.Templates = append(known.Templates, name)
		case "MessageChannel":
			known.Channels[name] = string(typed[v1alpha1.MessageChannel](t, object).Spec.Type)
		case "Monitor":
			known.Monitors[name] = nil
			for _, topic := range typed[v1alpha1.Monitor](t, object).Spec.Topics {
				known.Monitors[name] = append(known.Monitors[name], topic.Name)
			}
		case "ServiceQueue":
			known.Queues = append(known.Queues, name)
		case "ConsentPolicy":
			for _, p := range typed[v1alpha1.ConsentPolicy](t, object).Spec.Purposes {
				known.Schema.Purposes = append(known.Schema.Purposes, string(p.Name))
			}
		case "AutomationRule":
			known.Rules = append(known.Rules, name)
			rules = append(rules, typed[v1alpha1.AutomationRule](t, object))
		}
	}
	if len(rules) != 13 {
		t.Errorf("%d rules, want 13", len(rules))
	}
	for i := range rules {
		rule, err := automationrule.Read(&rules[i].Spec)
		if err != nil {
			t.Errorf("rule %s: %v", rules[i].Name, err)
			continue
		}
		plan, err := automate.Compile(rule, known)
		if err != nil {
			t.Errorf("rule %s: %v", rules[i].Name, err)
			continue
		}
		switch rules[i].Name {
		case "review":
			tryReview(t, plan)
		case "complaint":
			tryComplaint(t, plan)
		}
	}
}

// tryReview tries the rule that asks for a review with the purchase beside it.
func tryReview(t *testing.T, plan *automate.Plan) {
	t.Helper()
	document, err := os.ReadFile("velo/rules/try/purchase.json")
	if err != nil {
		t.Fatal(err)
	}
	sample, err := automate.ReadSample(plan, document, time.Now(), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	trial, err := automate.DryRun(plan, sample, time.Time{})
	if err != nil || !trial.Begins || len(trial.Steps) == 0 {
		t.Fatalf("a review: %+v, %v", trial, err)
	}
	last := trial.Steps[len(trial.Steps)-1]
	if at := time.Date(2027, 3, 31, 16, 30, 0, 0, time.UTC); last.Step != "write" || !last.At.Equal(at) {
		t.Errorf("a review is asked for by %s at %s, want write at %s", last.Step, last.At, at)
	}
}

// tryComplaint tries the rule that looks after complaints: nobody answers, and after an hour the ticket is the lead's.
func tryComplaint(t *testing.T, plan *automate.Plan) {
	t.Helper()
	document, err := os.ReadFile("velo/service/try/complaint.json")
	if err != nil {
		t.Fatal(err)
	}
	sample, err := automate.ReadSample(plan, document, time.Now(), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		later []automate.SampleEvent
		ends  string
		after time.Duration
	}{
		"nobody answers": {nil, "lead", time.Hour},
		"somebody does": {
			[]automate.SampleEvent{{Event: automate.TicketAnswered, At: sample.At.Add(20 * time.Minute)}}, "answered", 20 * time.Minute,
		},
	} {
		sample.Later = tc.later
		trial, err := automate.DryRun(plan, sample, time.Time{})
		if err != nil || !trial.Begins || len(trial.Steps) < 3 {
			t.Fatalf("%s: %+v, %v", name, trial, err)
		}
		if trial.Steps[0].Step != "ticket" || trial.Steps[1].Step != "heard" {
			t.Errorf("%s: it begins with %s and %s", name, trial.Steps[0].Step, trial.Steps[1].Step)
		}
		if last := trial.Steps[len(trial.Steps)-1]; last.Step != tc.ends || !last.At.Equal(sample.At.Add(tc.after)) {
			t.Errorf("%s: it ends with %s at %s, want %s after %s", name, last.Step, last.At, tc.ends, tc.after)
		}
	}
}

// TestQueuesAreSound: what the example's queues promise can be.
func TestQueuesAreSound(t *testing.T) {
	sound := 0
	for _, object := range objectsOf(t, "velo/service") {
		if object.GetKind() != "ServiceQueue" {
			continue
		}
		queue := typed[v1alpha1.ServiceQueue](t, object)
		terms, err := servicequeue.Read(&queue.Spec).Compile(time.UTC)
		if err != nil {
			t.Errorf("queue %s: %v", queue.Name, err)
			continue
		}
		if promised := terms.Target(service.High, service.FirstResponse); promised != time.Hour {
			t.Errorf("queue %s promises an answer within %s", queue.Name, promised)
		}
		sound++
	}
	if sound != 1 {
		t.Errorf("%d queues, want 1", sound)
	}
}

// TestAnswersFitTheNetwork renders what rules answer and publish: Bluesky takes 300 characters.
func TestAnswersFitTheNetwork(t *testing.T) {
	rendered := 0
	for _, object := range objectsOf(t, "velo/service") {
		if object.GetKind() != "MessageTemplate" {
			continue
		}
		template := typed[v1alpha1.MessageTemplate](t, object)
		var contents []render.Content
		for _, c := range template.Spec.Content {
			contents = append(contents, render.Content{Locale: string(c.Locale), Subject: c.Subject, HTML: c.HTML, Text: c.Text})
		}
		compiled, err := render.Compile(string(template.Spec.DefaultLocale), contents)
		if err != nil {
			t.Errorf("%s: %v", template.Name, err)
			continue
		}
		for _, c := range contents {
			message, err := compiled.Render(c.Locale, render.Vars{"tenant": map[string]any{"display_name": "Velo Ciclismo"}})
			if n := uniseg.GraphemeClusterCount(strings.TrimSpace(message.Text)); err != nil || n == 0 || n > 300 {
				t.Errorf("%s %s has %d characters: %v", template.Name, c.Locale, n, err)
			}
			rendered++
		}
	}
	if rendered != 5 {
		t.Errorf("%d texts rendered, want 5", rendered)
	}
}

// TestRuleMessagesRender renders what rules write, for somebody known and for somebody of whom nothing is known.
func TestRuleMessagesRender(t *testing.T) {
	rendered := 0
	for _, object := range slices.Concat(objectsOf(t, "velo/crm"), objectsOf(t, "velo/rules")) {
		if object.GetKind() != "MessageTemplate" || object.GetName() == "confirm" {
			continue
		}
		template := typed[v1alpha1.MessageTemplate](t, object)
		var contents []render.Content
		for _, c := range template.Spec.Content {
			contents = append(contents, render.Content{Locale: string(c.Locale), Subject: c.Subject, HTML: c.HTML})
		}
		compiled, err := render.Compile(string(template.Spec.DefaultLocale), contents)
		if err != nil {
			t.Errorf("%s: %v", template.Name, err)
			continue
		}
		for _, locale := range []string{"es", "en"} {
			for _, contact := range []map[string]any{{}, {"first_name": "Lucía", "jersey_size": "M", "renews_on": "2027-03-01"}} {
				message, err := compiled.Render(locale, render.Vars{
					"contact": contact, "tenant": map[string]any{"display_name": "Velo Ciclismo"}, "unsubscribe_url": unsubscribeURL,
				})
				if err != nil || message.Subject == "" {
					t.Errorf("%s %s: %q, %v", template.Name, locale, message.Subject, err)
				}
				rendered++
			}
		}
	}
	if rendered != 28 {
		t.Errorf("%d messages rendered, want 7 templates in 2 languages for 2 people", rendered)
	}
}
