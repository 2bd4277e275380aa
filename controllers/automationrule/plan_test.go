package automationrule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
)

const day = automate.Duration(24 * time.Hour)

func ref(name string) v1alpha1.LocalReference { return v1alpha1.LocalReference{Name: name} }

func refTo(name string) *v1alpha1.LocalReference { return &v1alpha1.LocalReference{Name: name} }

// everything is a rule with all that steps can do.
func everything() v1alpha1.AutomationRuleSpec {
	return v1alpha1.AutomationRuleSpec{
		Trigger: v1alpha1.RuleTrigger{Event: "segment.entered", SegmentRef: refTo("lapsed"), OnDefinitionChange: v1alpha1.AddOnDefinitionChange},
		When:    `in_segment("readers")`, Key: "segment.name", Reentry: &v1alpha1.Reentry{Mode: v1alpha1.ReentryAfter, After: "180d"},
		Exit: "false", MaxPerHour: 500, OnEdit: v1alpha1.MoveOnEdit,
		Steps: []v1alpha1.RuleStep{
			{Name: "write", Send: &v1alpha1.SendStep{TemplateRef: ref("spring"), ChannelRef: ref("news"), Purpose: "newsletter", Priority: "Transactional"}},
			{Name: "week", Wait: &v1alpha1.WaitStep{Event: "purchase", For: "7d", When: "event.amount > 5.0", OnTimeout: "ask"}, Next: "mark"},
			{Name: "morning", Wait: &v1alpha1.WaitStep{Until: &v1alpha1.Moment{TimeOfDay: "09:00", Weekdays: []v1alpha1.Weekday{"Monday"}, TimeZone: "Recipient"}}},
			{Name: "day", Wait: &v1alpha1.WaitStep{Until: &v1alpha1.Moment{Attribute: "renews_on", OffsetDays: -7, TimeZone: "Europe/Madrid"}}},
			{Name: "epiphany", Wait: &v1alpha1.WaitStep{Until: &v1alpha1.Moment{At: "2027-01-06T10:00:00"}}},
			{Name: "ask", If: "true", Then: "draw", Else: "tell"},
			{Name: "draw", Split: []v1alpha1.SplitBranch{{Weight: 1, Next: "mark"}, {Weight: 3, Next: "tell"}}},
			{Name: "mark", Tag: "asleep"},
			{Name: "unmark", Untag: "awake"},
			{Name: "fill", Set: []v1alpha1.AttributeValue{{Attribute: "plan", Value: "club"}, {Attribute: "seen_at", Expression: "now"}}},
			{Name: "tell", Notify: &v1alpha1.NotifyStep{ChannelRef: ref("room"), TemplateRef: refTo("alarm")}},
			{Name: "on", Start: &v1alpha1.StartStep{RuleRef: ref("other")}},
			{Name: "answer", Reply: &v1alpha1.ReplyStep{TemplateRef: ref("sorry")}},
			{Name: "announce", Publish: &v1alpha1.PublishStep{TemplateRef: ref("news"), ChannelRef: ref("mastodon")}},
			{Name: "ticket", OpenTicket: &v1alpha1.OpenTicketStep{QueueRef: ref("care"), Priority: v1alpha1.HighTicket, Subject: "A post"}},
			{Name: "give", Assign: &v1alpha1.AssignStep{To: "care-lead"}},
			{Name: "done", Exit: &v1alpha1.ExitStep{Reason: "Done."}},
		},
	}
}

func TestRead(t *testing.T) {
	spec := everything()
	got, err := Read(&spec)
	if err != nil {
		t.Fatal(err)
	}
	want := automate.Rule{
		On:   automate.Trigger{Event: "segment.entered", Segment: "lapsed", OnEdits: true},
		When: `in_segment("readers")`, Key: "segment.name", Reentry: automate.Reentry{Mode: automate.ReentryAfter, After: 180 * day},
		Exit: "false", MaxPerHour: 500, OnEdit: automate.Move,
		Steps: []automate.Step{
			{Name: "write", Send: &automate.Send{Template: "spring", Channel: "news", Purpose: "newsletter", Priority: "Transactional"}},
			{Name: "week", Wait: &automate.Wait{Event: "purchase", For: 7 * day, When: "event.amount > 5.0", Timeout: "ask"}, Next: "mark"},
			{Name: "morning", Wait: &automate.Wait{Until: &automate.Moment{TimeOfDay: "09:00", Weekdays: []string{"Monday"}}}},
			{Name: "day", Wait: &automate.Wait{Until: &automate.Moment{Attribute: "renews_on", OffsetDays: -7, TimeZone: "Europe/Madrid"}}},
			{Name: "epiphany", Wait: &automate.Wait{Until: &automate.Moment{At: "2027-01-06T10:00:00"}}},
			{Name: "ask", If: &automate.If{Condition: "true", Then: "draw", Else: "tell"}},
			{Name: "draw", Split: []automate.Branch{{Weight: 1, Next: "mark"}, {Weight: 3, Next: "tell"}}},
			{Name: "mark", Tag: "asleep"},
			{Name: "unmark", Untag: "awake"},
			{Name: "fill", Set: []automate.Assignment{{Attribute: "plan", Value: "club"}, {Attribute: "seen_at", Expression: "now"}}},
			{Name: "tell", Notify: &automate.Notify{Channel: "room", Template: "alarm"}},
			{Name: "on", Start: &automate.Start{Rule: "other"}},
			{Name: "answer", Reply: &automate.Reply{Template: "sorry"}},
			{Name: "announce", Publish: &automate.Publish{Template: "news", Channel: "mastodon"}},
			{Name: "ticket", OpenTicket: &automate.OpenTicket{Queue: "care", Priority: "High", Subject: "A post"}},
			{Name: "give", Assign: &automate.Assign{To: "care-lead"}},
			{Name: "done", Exit: &automate.Exit{Reason: "Done."}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// All that manifests can say of steps is in there: what is added is to be read, too.
	for _, step := range got.Steps {
		if step.Verb() == "" {
			t.Errorf("step %s has no verb", step.Name)
		}
	}
}

func TestPlanRuleBegins(t *testing.T) {
	for name, tc := range map[string]struct {
		trigger v1alpha1.RuleTrigger
		want    automate.Trigger
		shown   string
	}{
		"a return":   {v1alpha1.RuleTrigger{Event: "site-visit", QuietFor: "90d"}, automate.Trigger{Event: "site-visit", QuietFor: 90 * day}, "site-visit"},
		"a segment":  {v1alpha1.RuleTrigger{Event: "segment.left", SegmentRef: refTo("club")}, automate.Trigger{Event: "segment.left", Segment: "club"}, "segment.left club"},
		"a mention":  {v1alpha1.RuleTrigger{Event: "mention.received", MonitorRef: refTo("velo"), Topic: "bike"}, automate.Trigger{Event: "mention.received", Monitor: "velo", Topic: "bike"}, "mention.received velo bike"},
		"a click":    {v1alpha1.RuleTrigger{Event: "message.clicked", CampaignRef: refTo("spring")}, automate.Trigger{Event: "message.clicked", Campaign: "spring"}, "message.clicked spring"},
		"a ticket":   {v1alpha1.RuleTrigger{Event: "ticket.breached", QueueRef: refTo("care")}, automate.Trigger{Event: "ticket.breached", Queue: "care"}, "ticket.breached care"},
		"a birthday": {v1alpha1.RuleTrigger{Date: &v1alpha1.DateTrigger{Attribute: "birthday", EveryYear: true, OffsetDays: -7}}, automate.Trigger{Date: &automate.DateTrigger{Attribute: "birthday", OffsetDays: -7, At: "09:00", EveryYear: true}}, "date birthday"},
		"an hour":    {v1alpha1.RuleTrigger{Date: &v1alpha1.DateTrigger{Attribute: "birthday", At: "18:30"}}, automate.Trigger{Date: &automate.DateTrigger{Attribute: "birthday", At: "18:30"}}, "date birthday"},
		"Mondays": {
			v1alpha1.RuleTrigger{Schedule: &v1alpha1.ScheduleTrigger{Cron: "0 9 * * MON", SegmentRef: refTo("club")}},
			automate.Trigger{Schedule: &automate.ScheduleTrigger{Cron: "0 9 * * MON", TimeZone: "Europe/Madrid", Segment: "club"}},
			"schedule 0 9 * * MON club",
		},
		"Mondays in Lima": {
			v1alpha1.RuleTrigger{Schedule: &v1alpha1.ScheduleTrigger{Cron: "0 9 * * MON", TimeZone: "America/Lima"}},
			automate.Trigger{Schedule: &automate.ScheduleTrigger{Cron: "0 9 * * MON", TimeZone: "America/Lima"}},
			"schedule 0 9 * * MON",
		},
	} {
		t.Run(name, func(t *testing.T) {
			rule, err := planRule(&v1alpha1.AutomationRule{Spec: v1alpha1.AutomationRuleSpec{Trigger: tc.trigger}}, "Europe/Madrid")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, rule.On); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if shown := planBegins(&tc.trigger); shown != tc.shown {
				t.Errorf("shown as %q, want %q", shown, tc.shown)
			}
		})
	}
}

func TestReadNamesTheField(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*v1alpha1.AutomationRuleSpec)
		want   string
	}{
		"a wait of ages":     {func(s *v1alpha1.AutomationRuleSpec) { s.Steps[1].Wait.For = "999999999999d" }, "spec.steps[week].wait.for"},
		"a zone that is off": {func(s *v1alpha1.AutomationRuleSpec) { s.Steps[3].Wait.Until.TimeZone = "Mars/Olympus" }, "spec.steps[day].wait.until.timeZone"},
		"reentry in a while": {func(s *v1alpha1.AutomationRuleSpec) { s.Reentry.After = "soon" }, "spec.reentry.after"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := everything()
			tc.change(&spec)
			_, err := Read(&spec)
			var stalled *reconciling.Stalled
			if !errors.As(err, &stalled) || stalled.Reason != v1alpha1.InvalidSpecReason || !strings.HasPrefix(stalled.Message, tc.want) {
				t.Errorf("got %v, want a stall that begins with %s", err, tc.want)
			}
		})
	}
}

func TestReferences(t *testing.T) {
	spec := everything()
	spec.Steps[5].If = `in_segment("lapsed") || in_segment("buyers")`
	want := references{
		segmentKind: {"buyers", "lapsed", "readers"}, templateKind: {"alarm", "news", "sorry", "spring"}, channelKind: {"mastodon", "news", "room"},
		ruleKind: {"other"}, queueKind: {"care"},
	}
	if diff := cmp.Diff(want, referencesOf(&spec)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	missing := planAsked(&spec, []string{"lapsed", "reader"})
	var told []string
	for _, issue := range missing {
		told = append(told, place(issue)+issue.Message)
	}
	wanted := []string{
		`spec.when: 1:12: there is no Segment "readers": did you mean "reader"?`, `spec.steps[ask].if: 1:36: there is no Segment "buyers"`,
	}
	if diff := cmp.Diff(wanted, told); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// sound is a rule that can be carried out, with what it needs.
func sound() (*v1alpha1.AutomationRule, facts) {
	object := &v1alpha1.AutomationRule{ObjectMeta: metav1.ObjectMeta{Name: "thanks"}, Spec: v1alpha1.AutomationRuleSpec{
		Trigger: v1alpha1.RuleTrigger{Event: "purchase"},
		When:    "event.amount > 5.0",
		Steps:   []v1alpha1.RuleStep{{Name: "mark", Tag: "customer"}, {Name: "on", Start: &v1alpha1.StartStep{RuleRef: ref("other")}}},
	}}
	return object, facts{known: automate.Known{
		Name: "thanks", Starts: map[string][]string{},
		Schema: crm.Schema{Events: []crm.EventType{{Name: "purchase", Properties: []crm.Property{{Name: "amount", Type: crm.Decimal}}}}},
		Rules:  []string{"thanks", "other"}, Segments: []string{},
	}}
}

func TestPlanAcceptance(t *testing.T) {
	type verdict struct{ kind, reason string }
	for name, tc := range map[string]struct {
		change func(*v1alpha1.AutomationRule, *facts)
		want   verdict
		says   []string
	}{
		"sound":          {func(*v1alpha1.AutomationRule, *facts) {}, verdict{}, nil},
		"a missing rule": {func(_ *v1alpha1.AutomationRule, f *facts) { f.known.Rules = []string{"thanks"} }, verdict{"waits", "AutomationRuleNotFound"}, []string{"spec.steps[on].start.ruleRef: ", `"other"`}},
		"a missing event, of which nobody knows what it tells": {
			func(_ *v1alpha1.AutomationRule, f *facts) { f.known.Schema.Events = nil }, verdict{"waits", "EventTypeNotFound"}, []string{"spec.trigger.event: "},
		},
		"an expression alone": {func(o *v1alpha1.AutomationRule, _ *facts) { o.Spec.When = "event.amoun > 5" }, verdict{"stalls", "ExpressionInvalid"}, []string{"spec.when: 1:7: ", `"amount"`}},
		"all at once, also what is missing": {
			func(o *v1alpha1.AutomationRule, f *facts) {
				o.Spec.When, o.Spec.Steps[0].Next, f.known.Rules = `event.amoun > 5 && in_segment("a")`, "nowhere", nil
			},
			verdict{"stalls", "RuleInvalid"},
			[]string{"spec.when: 1:7: ", `no Segment "a"`, `"nowhere"`},
		},
		"an expression while attributes are on their way": {
			func(o *v1alpha1.AutomationRule, f *facts) { o.Spec.When, f.changes = "contact.plan == 'club'", true }, verdict{"waits", "DependencyNotReady"}, nil,
		},
		"a mail without a subject": {func(o *v1alpha1.AutomationRule, f *facts) {
			o.Spec.Steps[0] = v1alpha1.RuleStep{Name: "write", Send: &v1alpha1.SendStep{TemplateRef: ref("post"), ChannelRef: ref("news"), Purpose: "newsletter"}}
			f.known.Templates, f.known.Channels, f.posts = []string{"post"}, map[string]string{"news": "Email"}, []string{"post"}
		}, verdict{"stalls", "RuleInvalid"}, []string{"spec.steps[write].send.templateRef: ", `"post" has no subject`}},
		"an answer without a subject": {func(o *v1alpha1.AutomationRule, f *facts) {
			o.Spec.Trigger.Event, o.Spec.When = "message.received", ""
			o.Spec.Steps[0] = v1alpha1.RuleStep{Name: "answer", Reply: &v1alpha1.ReplyStep{TemplateRef: ref("post")}}
			f.known.Templates, f.posts = []string{"post"}, []string{"post"}
		}, verdict{}, nil},
		"a circle": {func(_ *v1alpha1.AutomationRule, f *facts) {
			f.known.Starts["other"] = []string{"thanks"}
		}, verdict{"stalls", "RuleInvalid"}, []string{"thanks → other → thanks"}},
		"an edit under way": {func(_ *v1alpha1.AutomationRule, f *facts) {
			f.needed = []dependency{{kind: "Segment", name: "a", underWay: true}}
		}, verdict{"stays", "DependencyNotReady"}, []string{"being looked at"}},
		"a dependency at odds": {func(_ *v1alpha1.AutomationRule, f *facts) { f.needed = []dependency{{kind: "Segment", name: "a"}} }, verdict{"stays", "DependencyNotReady"}, []string{`Segment "a" is not ready`}},
		"a step of tomorrow":   {func(o *v1alpha1.AutomationRule, _ *facts) { o.Spec.Steps[0].Tag = "" }, verdict{"waits", "UnknownToOperator"}, []string{`"mark"`, "upgrade the operator"}},
		"a mode of tomorrow":   {func(o *v1alpha1.AutomationRule, _ *facts) { o.Spec.Reentry = &v1alpha1.Reentry{Mode: "Often"} }, verdict{"waits", "UnknownToOperator"}, []string{`"Often"`}},
		"an edit of tomorrow":  {func(o *v1alpha1.AutomationRule, _ *facts) { o.Spec.OnEdit = "Restart" }, verdict{"waits", "UnknownToOperator"}, []string{`"Restart"`}},
	} {
		t.Run(name, func(t *testing.T) {
			object, found := sound()
			tc.change(object, &found)
			rule, err := planRule(object, "UTC")
			if err != nil {
				t.Fatal(err)
			}
			err = planAcceptance(object, rule, found)
			var stalled *reconciling.Stalled
			var waiting *reconciling.Waiting
			var interrupted *reconciling.Interrupted
			got, message := verdict{}, ""
			switch {
			case errors.As(err, &stalled):
				got, message = verdict{"stalls", stalled.Reason}, stalled.Message
			case errors.As(err, &waiting):
				got, message = verdict{"waits", waiting.Reason}, waiting.Message
			case errors.As(err, &interrupted):
				got, message = verdict{"stays", interrupted.Reason}, interrupted.Message
			case err != nil:
				t.Fatal(err)
			}
			if got != tc.want {
				t.Errorf("got %+v, want %+v: %s", got, tc.want, message)
			}
			for _, part := range tc.says {
				if !strings.Contains(message, part) {
					t.Errorf("the message lacks %q: %s", part, message)
				}
			}
		})
	}
}

// TestMessagesAreBounded: a hundred steps that are wrong are told as far as a condition holds.
func TestMessagesAreBounded(t *testing.T) {
	var issues []automate.Issue
	for n := range 100 {
		issues = append(issues, automate.Issue{Step: fmt.Sprintf("step-%d", n), Field: "next", Message: "there is no step."})
	}
	message := tell(issues)
	if !strings.HasPrefix(message, "spec.steps[step-0].next: there is no step; spec.steps[step-1].next: ") || !strings.HasSuffix(message, "; and 80 more") {
		t.Errorf("got %s", message)
	}
	for i := range issues {
		issues[i].Message = strings.Repeat("x", 4000)
	}
	if message := tell(issues); len(message) > 9000 || !strings.HasSuffix(message, "; and 98 more") {
		t.Errorf("%d bytes, end %q", len(message), message[len(message)-20:])
	}
	if message := tell(issues[:1]); !slices.Equal([]string{message}, []string{"spec.steps[step-0].next: " + issues[0].Message}) {
		t.Errorf("one issue: %.60s", message)
	}
}
