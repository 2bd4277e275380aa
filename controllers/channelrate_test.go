package controllers_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/pace"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestAChannelTellsWhoAsksForPatience(t *testing.T) {
	h := newHome(t)
	channel := h.channel("news", "")
	channel.Spec.Rate = &v1alpha1.ChannelRate{PerSecond: 200, PerDay: 50}
	h.create(channel)
	object := &v1alpha1.MessageChannel{}
	h.current(object, "news")
	p, err := h.db.LoadPace(t.Context(), "news")
	if diff := cmp.Diff(pace.Limits{PerSecond: 200, PerDay: 50}, p.Limits); diff != "" || err != nil || p.TimeZone != "Europe/Madrid" {
		t.Errorf("what workers read differs (-want +got):\n%s\n%s, %v", diff, p.TimeZone, err)
	}
	if c := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ThrottledCondition); c != nil {
		t.Errorf("nothing is throttled: %+v", c)
	}

	// What workers write down of a large receiver and of a small one.
	var large, small int32
	for name, id := range map[string]*int32{"large.example": &large, "ana.example": &small} {
		*id = ask[int32](h, "insert into receiver (name) values ($1) returning id", name)
	}
	h.sql(`with s as (insert into send (send_key, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline, state)
			values ('spring', 'spring', 'news', 'news', '{}', 1, '[]', now(), now(), 'Sending') returning id)
		insert into send_chunk (send_id, chunk, first_seq, last_seq, receiver) select id, 1, 1, 500, $1 from s`, large)
	learn := func(receiver int32, change func(pace.Receiver, time.Time) pace.Receiver) {
		t.Helper()
		if _, err := h.db.LearnOfReceiver(t.Context(), store.Learned{Channel: "news", Receiver: receiver, Change: change}); err != nil {
			t.Fatal(err)
		}
	}
	defers := func(r pace.Receiver, now time.Time) pace.Receiver {
		return r.Deferred(now, 20, 20, pace.PauseBackoff, 1)
	}
	learn(small, defers)
	learn(large, defers)
	h.condition(object, "news", v1alpha1.ThrottledCondition, metav1.ConditionTrue, v1alpha1.ReceiversDeferReason)
	if len(object.Status.Throttled) != 1 || object.Status.Throttled[0].Receiver != "large.example" || time.Until(object.Status.Throttled[0].Until.Time) < 30*time.Second {
		t.Errorf("the large receiver alone is named: %+v", object.Status.Throttled)
	}
	h.current(object, "news")
	learn(large, func(pace.Receiver, time.Time) pace.Receiver { return pace.Receiver{} })
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(t.Context(), h.key("news"), object)).To(gomega.Succeed())
		g.Expect(meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ThrottledCondition)).To(gomega.BeNil())
		g.Expect(object.Status.Throttled).To(gomega.BeEmpty())
	})

	// The bound of the day is reached.
	madrid, err := time.LoadLocation("Europe/Madrid")
	if err != nil {
		t.Fatal(err)
	}
	if p, err = h.db.LoadPace(t.Context(), "news"); err != nil { // midnight may have passed since
		t.Fatal(err)
	}
	days := p.Limits.Days(madrid, p.Now)
	_, err = h.db.TakeTokens(t.Context(), store.TokenRequest{Channel: "news", Limits: pace.Limits{PerDay: 50}, Days: days, Wants: []store.TokenWant{{N: 60}}})
	if err != nil {
		t.Fatal(err)
	}
	h.condition(object, "news", v1alpha1.ThrottledCondition, metav1.ConditionTrue, v1alpha1.DailyCapReachedReason)
	if object.Status.CappedUntil == nil || !object.Status.CappedUntil.Time.Equal(days[2].From) {
		t.Errorf("it is capped until %v, want %s", object.Status.CappedUntil, days[2].From)
	}
	h.current(object, "news")
}
