package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// historian imports people and what they did, while segments and rules follow.
type historian struct {
	*engineBench
	following following
}

// newHistorian has a rule write to whoever lapses. The rule and its segment are in force before anybody is there.
func newHistorian(t *testing.T) *historian {
	h := &historian{engineBench: newEngineBench(t, 0)}
	h.following = following{t: t, DB: h.db, schema: crm.Schema{
		Attributes: []crm.Attribute{{Name: "plan", Type: crm.String}}, Events: []crm.EventType{{Name: "purchased"}, {Name: "visited"}},
	}}
	h.following.segment("lapsed", `contact.plan == "club" && events("purchased").count() > 0 && events("purchased").within("90d").count() == 0`)
	h.following.settle()
	write := automate.Step{Name: "write", Send: &automate.Send{Template: "hello", Channel: "mail", Purpose: "news"}}
	winBack := automate.Rule{On: automate.Trigger{Event: automate.SegmentEntered, Segment: "lapsed"}, Steps: []automate.Step{write}}
	winBack.Reentry = automate.Reentry{Mode: automate.ReentryAlways}
	h.save("win-back", winBack)
	h.save("back", automate.Rule{On: automate.Trigger{Event: automate.SegmentLeft, Segment: "lapsed"}, Steps: []automate.Step{{Name: "tag", Tag: "back"}}})
	return h
}

// contacts imports people, and does not end the import.
func (h *historian) contacts(people int) *store.ContactImport {
	h.Helper()
	im := h.db.NewContactImport("shop", store.ContactColumns{
		Attributes: []crm.Attribute{{Name: "plan", Type: crm.String}}, Purposes: []string{"news"}, EmailVerified: true,
	}, store.ImportOptions{})
	rows := make([]store.ContactRow, people)
	for i := range rows {
		rows[i] = store.ContactRow{
			ExternalID: fmt.Sprint(i + 1), Email: fmt.Sprintf("p%d@example.com", i+1), Attributes: []string{"club"}, Consents: []store.Decision{store.Granted},
		}
	}
	h.Cleanup(func() { im.Close(h.ctx) })
	if _, err := im.Apply(h.ctx, rows); err != nil {
		h.Fatal(err)
	}
	return im
}

// purchases imports what the people did so long ago.
func (h *historian) purchases(ago time.Duration, people ...int) {
	h.Helper()
	var events []store.Event
	for _, p := range people {
		events = append(events, store.Event{
			Source: "shop", ClientID: fmt.Sprintf("%d/%v", p, ago), Name: "purchased", OccurredAt: time.Now().Add(-ago), IdentifierType: "external:shop",
			IdentifierValue: fmt.Sprint(p), Properties: []byte("{}"),
		})
	}
	if _, err := h.db.PutEvents(h.ctx, events); err != nil {
		h.Fatal(err)
	}
	// However slow the machine is, the import goes on until the test says otherwise.
	h.exec("update import_run set ends_at = clock_timestamp() + interval '4 minutes' where what = 'events' and over_at is null")
}

// follow has segments and rules come as far as they get.
func (h *historian) follow() {
	h.Helper()
	h.following.settle()
	h.work()
}

// written lists to whom the rule has written, by their numbers in the shop.
func (h *historian) written() []string {
	h.Helper()
	return h.texts(`select i.value from ledger l join identifier_link k on k.contact_id = l.contact_id join identifier i on i.id = k.identifier_id
		and i.type = 'external:shop' order by i.value::int, l.seq`)
}

// lapse has the time pass in which an import says that it goes on.
func (h *historian) lapse() {
	h.Helper()
	h.exec("update import_run set ends_at = clock_timestamp() - interval '1 millisecond'")
}

// TestAnImportWritesToNobodyForAMoment imports people who all lapse as their history comes in, the oldest first, and of whom some turn out not to have.
func TestAnImportWritesToNobodyForAMoment(t *testing.T) {
	h := newHistorian(t)
	h.contacts(6).Close(h.ctx)
	h.follow()
	h.purchases(400*aDay, 1, 2, 3, 4, 5, 6)
	h.follow()
	h.purchases(20*aDay, 1, 2, 3)
	h.follow()
	h.purchases(10*aDay, 4)
	h.want("who was written to while history came in", h.written(), nil)
	h.lapse()
	h.work() // what segments have not followed yet is waited for
	h.want("who was written to before segments have followed", h.written(), nil)
	h.follow()
	h.want("who was written to", h.written(), []string{"5", "6"})
	h.want("who has come back", []string{h.tags()}, []string{"1:back 2:back 3:back 4:back"})
	h.want("the import", h.texts("select source || ' ' || what from import_run where over_at is not null order by 1"), []string{"shop contacts", "shop events"})
	// From here on it is as always.
	h.exec("update contact set attr_plan = 'free' where id in (5, 6)")
	h.follow()
	h.exec("update contact set attr_plan = 'club' where id in (5, 6)")
	h.follow()
	h.want("who was written to afterwards", h.written(), []string{"5", "5", "6", "6"})
}

// TestWhoComesAndGoesDuringAnImportIsWrittenToOnce has people enter several times before the import is over.
func TestWhoComesAndGoesDuringAnImportIsWrittenToOnce(t *testing.T) {
	h := newHistorian(t)
	im := h.contacts(2)
	h.exec("update contact set attr_plan = 'free'")
	h.purchases(400*aDay, 1, 2)
	for _, plan := range []string{"club", "free", "club"} {
		h.exec("update contact set attr_plan = $1", plan)
		h.follow()
	}
	h.want("who was written to during the import", h.written(), nil)
	h.lapse()
	im.Close(h.ctx)
	h.follow()
	h.want("who was written to", h.written(), []string{"1", "2"})
}

// TestAnImportThatDiedHoldsNothingBack has an import never say that it is over, one never end, and the clock set back.
func TestAnImportThatDiedHoldsNothingBack(t *testing.T) {
	for name, test := range map[string]struct {
		run  string // what stands of the import
		want []string
	}{
		"it goes on":               {"ends_at = clock_timestamp() + interval '4 minutes'", nil},
		"it died":                  {"ends_at = clock_timestamp() - interval '1 ms'", []string{"1"}},
		"it never ends":            {"began_at = clock_timestamp() - interval '7 hours', ends_at = clock_timestamp() + interval '4 minutes'", []string{"1"}},
		"it died in another time":  {"began_at = clock_timestamp() + interval '9 hours', ends_at = clock_timestamp() + interval '10 hours'", []string{"1"}},
		"it goes on after a pause": {"ends_at = clock_timestamp() - interval '1 s', over_at = clock_timestamp()", []string{"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistorian(t)
			h.contacts(1)
			h.purchases(400*aDay, 1)
			h.following.settle()
			h.exec("update import_run set " + test.run)
			h.work()
			h.want("who was written to", h.written(), test.want)
			if age := h.measure().EventAge; (age > 0) != (test.want == nil && name != "it goes on") {
				t.Errorf("the oldest event is told to wait for %v", age)
			}
		})
	}
}

func (h *historian) measure() store.MeasuredRules {
	h.Helper()
	m, err := h.rules.Measure(h.ctx)
	if err != nil {
		h.Fatal(err)
	}
	return m
}

// TestEventsOfTheDayAreNoImport has a straggler among events of the moment hold nothing back.
func TestEventsOfTheDayAreNoImport(t *testing.T) {
	h := newHistorian(t)
	h.contacts(3).Close(h.ctx)
	h.follow()
	h.lapse()
	events := make([]store.Event, 3)
	for i := range events {
		events[i] = store.Event{
			Source: "till", ClientID: fmt.Sprint(i), Name: "visited", OccurredAt: time.Now().Add(-time.Minute), IdentifierType: "external:shop",
			IdentifierValue: fmt.Sprint(i + 1), Properties: []byte("{}"),
		}
	}
	events[2].Name, events[2].OccurredAt = "purchased", time.Now().Add(-400*aDay)
	if _, err := h.db.PutEvents(h.ctx, events); err != nil {
		t.Fatal(err)
	}
	h.follow()
	h.want("who was written to", h.written(), []string{"3"})
}
