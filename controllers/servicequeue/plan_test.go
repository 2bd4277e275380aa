package servicequeue

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// everything is a queue with all that one can say.
func everything() *v1alpha1.ServiceQueue {
	return &v1alpha1.ServiceQueue{ObjectMeta: metav1.ObjectMeta{Name: "care"}, Spec: v1alpha1.ServiceQueueSpec{
		Tickets: "message.sentiment < -0.3", Priority: v1alpha1.HighTicket,
		Routing: &v1alpha1.QueueRouting{
			Mode: v1alpha1.RouteByLoad, Agents: []v1alpha1.QueueAgent{{Name: "ben", Capacity: 5}, {Name: "ana"}}, Capacity: 20, StickyFor: "30d",
		},
		Hours: &v1alpha1.QueueHours{
			TimeZone: "Europe/Madrid", Open: []v1alpha1.HoursWindow{{Days: []v1alpha1.Weekday{"Monday"}, From: "09:00", To: "18:00"}},
			Holidays: []v1alpha1.Holiday{"12-25", "2027-03-25"},
		},
		Targets: []v1alpha1.QueueTarget{
			{Priority: v1alpha1.HighTicket, FirstResponse: "1h", NextResponse: "2h", Resolution: "1d"}, {Priority: v1alpha1.LowTicket, Resolution: "5d"},
		},
		WarnAt: 80,
		Escalations: []v1alpha1.QueueEscalation{
			{Name: "lead", Target: v1alpha1.FirstResponseTarget, After: 100, Raise: v1alpha1.UrgentTicket, Assign: "care-lead"},
			{Name: "other", Target: v1alpha1.NextResponseTarget, After: 150, Route: true, Notify: &v1alpha1.QueueNotice{ChannelRef: v1alpha1.LocalReference{Name: "room"}}},
		},
		ReopenWithin: "7d", Suspend: true,
	}}
}

func TestPlanQueue(t *testing.T) {
	got, err := planQueue(everything(), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	want := store.QueueDefinition{
		Name: "care", Suspended: true, Agents: []store.QueueAgent{{Name: "ana"}, {Name: "ben", Capacity: 5}},
		Queue: service.Queue{
			Tickets: "message.sentiment < -0.3", Priority: service.High,
			Routing: service.Routing{Mode: service.RouteByLoad, Capacity: 20, StickyFor: "30d"},
			Hours: service.Hours{
				TimeZone: "Europe/Madrid", Open: []campaign.Window{{Days: []string{"Monday"}, From: "09:00", To: "18:00"}}, Holidays: []string{"12-25", "2027-03-25"},
			},
			Targets: map[service.Priority]service.Target{service.High: {FirstResponse: "1h", NextResponse: "2h", Resolution: "1d"}, service.Low: {Resolution: "5d"}},
			WarnAt:  80,
			Escalations: []service.Escalation{
				{Name: "lead", Target: service.FirstResponse, After: 100, Raise: service.Urgent, Assign: "care-lead"},
				{Name: "other", Target: service.NextResponse, After: 150, Route: true, Notify: "room"},
			},
			ReopenWithin: "7d",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := planQueue(&v1alpha1.ServiceQueue{}, time.UTC); err != nil {
		t.Errorf("a queue that says nothing: %v", err)
	}
}

func TestPlanQueueRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*v1alpha1.ServiceQueueSpec)
		reason string
		says   []string
	}{
		"all that is wrong": {func(s *v1alpha1.ServiceQueueSpec) {
			s.Hours.TimeZone, s.Targets[0].FirstResponse, s.ReopenWithin = "Nowhere/At_All", "0s", "400d"
		}, v1alpha1.InvalidSpecReason, []string{"spec.hours.timeZone: ", "; spec.targets.High.firstResponse: ", "; spec.reopenWithin: "}},
		"an escalation that never comes": {
			func(s *v1alpha1.ServiceQueueSpec) { s.Targets = s.Targets[1:] },
			v1alpha1.InvalidSpecReason,
			[]string{"spec.escalations[lead].target: ", "; spec.escalations[other].target: "},
		},
		"a priority of tomorrow":  {func(s *v1alpha1.ServiceQueueSpec) { s.Priority = "Now" }, v1alpha1.UnknownToOperatorReason, []string{`spec.priority "Now"`}},
		"a promise of tomorrow":   {func(s *v1alpha1.ServiceQueueSpec) { s.Targets[0].Priority = "Now" }, v1alpha1.UnknownToOperatorReason, []string{`spec.targets: priority "Now"`}},
		"a routing of tomorrow":   {func(s *v1alpha1.ServiceQueueSpec) { s.Routing.Mode = "Skill" }, v1alpha1.UnknownToOperatorReason, []string{`spec.routing.mode "Skill"`}},
		"a target of tomorrow":    {func(s *v1alpha1.ServiceQueueSpec) { s.Escalations[0].Target = "Smile" }, v1alpha1.UnknownToOperatorReason, []string{`spec.escalations[lead].target "Smile"`}},
		"an urgency of tomorrow":  {func(s *v1alpha1.ServiceQueueSpec) { s.Escalations[0].Raise = "Now" }, v1alpha1.UnknownToOperatorReason, []string{`spec.escalations[lead].raise "Now"`}},
		"a window that is a spot": {func(s *v1alpha1.ServiceQueueSpec) { s.Hours.Open[0].From = "25:00" }, v1alpha1.InvalidSpecReason, []string{"spec.hours.open[0]: "}},
	} {
		t.Run(name, func(t *testing.T) {
			object := everything()
			tc.change(&object.Spec)
			_, err := planQueue(object, time.UTC)
			reason, message := verdict(err)
			if reason != tc.reason {
				t.Errorf("got %v, want the reason %s", err, tc.reason)
			}
			for _, part := range tc.says {
				if !strings.Contains(message, part) {
					t.Errorf("the message lacks %q: %s", part, message)
				}
			}
		})
	}
}

func TestPlanChannels(t *testing.T) {
	channel := func(kind v1alpha1.ChannelType) v1alpha1.MessageChannel {
		return v1alpha1.MessageChannel{ObjectMeta: metav1.ObjectMeta{Name: "room"}, Spec: v1alpha1.MessageChannelSpec{Type: kind}}
	}
	going := channel(v1alpha1.WebhookChannel)
	going.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	for name, tc := range map[string]struct {
		there  []v1alpha1.MessageChannel
		reason string
	}{
		"there":         {[]v1alpha1.MessageChannel{channel(v1alpha1.WebhookChannel)}, ""},
		"not there":     {nil, "MessageChannelNotFound"},
		"about to go":   {[]v1alpha1.MessageChannel{going}, "MessageChannelNotFound"},
		"one for mails": {[]v1alpha1.MessageChannel{channel(v1alpha1.EmailChannel)}, v1alpha1.InvalidSpecReason},
	} {
		err := planChannels(&everything().Spec, tc.there)
		if reason, message := verdict(err); reason != tc.reason || err != nil && !strings.Contains(message, "spec.escalations[other].notify.channelRef") {
			t.Errorf("%s: %v, want the reason %q", name, err, tc.reason)
		}
	}
	if diff := cmp.Diff([]string{"room"}, channelsOf(&everything().Spec)); diff != "" {
		t.Errorf("channels: %s", diff)
	}
}

// verdict is the reason and the message of an error that says something about a queue.
func verdict(err error) (reason, message string) {
	var stalled *reconciling.Stalled
	var waiting *reconciling.Waiting
	switch {
	case errors.As(err, &stalled):
		return stalled.Reason, stalled.Message
	case errors.As(err, &waiting):
		return waiting.Reason, waiting.Message
	}
	return "", ""
}
