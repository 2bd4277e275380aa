package store_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// ruleBench is a tenant whose rules are tried.
type ruleBench struct {
	*testing.T
	ctx context.Context
	db  *store.DB
}

func newRuleBench(t *testing.T) *ruleBench {
	b := &ruleBench{T: t, ctx: context.Background(), db: storetest.New(t)}
	b.exec("insert into tenant (id, namespace, time_zone) values ('velo', 'velo', 'Europe/Madrid')")
	return b
}

func (b *ruleBench) exec(sql string, arguments ...any) {
	b.Helper()
	if _, err := b.db.Pool.Exec(b.ctx, sql, arguments...); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
}

func (b *ruleBench) texts(sql string, arguments ...any) []string {
	b.Helper()
	rows, err := b.db.Pool.Query(b.ctx, sql, arguments...)
	if err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
	return list
}

func (b *ruleBench) save(name string, rule automate.Rule) store.RuleState {
	b.Helper()
	_, state, err := b.db.SaveRule(b.ctx, store.RuleDefinition{Name: name, Rule: rule})
	if err != nil {
		b.Fatal(err)
	}
	return state
}

// onEvent is a rule of one step that tags.
func onEvent(event string) automate.Rule {
	return automate.Rule{On: automate.Trigger{Event: event}, Steps: []automate.Step{{Name: "tag", Tag: "seen"}}}
}

// happen makes one thing of each kind happen to contact 1.
func (b *ruleBench) happen() {
	b.exec("insert into contact (id) overriding system value values (1)")
	b.exec("insert into identifier (id, type, value) overriding system value values (1, 'email', 'ana@example.com')")
	b.exec("insert into identifier_link (identifier_id, contact_id, verified, source) values (1, 1, true, 'test')")
	b.exec("insert into segment (id, name, match, digest, predicate, arguments) overriding system value values (1, 'lapsed', '', '', 'true', '[]')")
	b.exec("insert into segment_event (segment_id, contact_id, entered, reason) values (1, 1, true, 'Data'), (1, 1, false, 'Definition')")
	b.exec("insert into event (name, occurred_at, identifier_id, contact_id, source) values ('purchased', now(), 1, 1, 'shop'), ('visited', now(), 1, 1, 'shop')")
	b.exec("insert into event (name, occurred_at, identifier_id, contact_id, source) values ('purchased', now() - interval '2 days', 1, 1, 'shop')")
	b.exec("insert into consent (contact_id, purpose, granted, source) values (1, 'news', true, 'form')")
	b.exec("update consent set granted = false, by_contact = true, recorded_at = now()")
	b.exec("insert into engaged (contact_id, send_id, what, at) values (1, 7, 'opened', now())")
	b.exec("insert into engagement (at, send_id, seq, what, link_id) values (now(), 7, 3, 'clicked', 5), (now(), 7, 3, 'machine-clicked', 5)")
	b.exec(`insert into returned (channel, source, source_id, kind, class, send_id, seq)
		values ('mail', 'smtp', '1', 'Bounce', 'Hard', 7, 3), ('mail', 'smtp', '2', 'Bounce', 'Soft', 7, 3)`)
}

func (b *ruleBench) noted() []string {
	return b.texts(`select concat_ws(' ', w.event, nullif(w.name, ''), q.contact_id) from domain_event_queue q
		join domain_event_watch w on w.id = q.watch_id order by 1`)
}

func TestOnlyWhatIsListenedToIsNoted(t *testing.T) {
	all := []string{
		automate.ContactCreated, automate.IdentifierAdded, automate.MessageOpened, automate.MessageClicked, automate.MessageBounced,
		automate.ContactUnsubscribed, "purchased",
	}
	entered := automate.Rule{On: automate.Trigger{Event: automate.SegmentEntered, Segment: "lapsed"}, Steps: []automate.Step{{Name: "tag", Tag: "seen"}}}
	left := automate.Rule{On: automate.Trigger{Event: automate.SegmentLeft, Segment: "lapsed"}, Steps: []automate.Step{{Name: "tag", Tag: "seen"}}}
	leftByEdits := left
	leftByEdits.On.OnEdits = true
	tests := map[string]struct {
		rules map[string]automate.Rule
		then  func(*ruleBench)
		want  []string
	}{
		"without rules nothing is": {},
		"each once": {
			rules: func() map[string]automate.Rule {
				rules := map[string]automate.Rule{"entered": entered, "left": left}
				for _, event := range all {
					rules["on-"+event], rules["also-on-"+event] = onEvent(event), onEvent(event)
				}
				return rules
			}(),
			want: []string{
				"contact.created 1", "contact.unsubscribed 1", "event purchased 1", "identifier.added 1", "message.bounced", "message.clicked",
				"message.opened 1", "segment.entered lapsed 1",
			},
		},
		"what edits changed, where a rule asks for it": {rules: map[string]automate.Rule{"left": leftByEdits}, want: []string{"segment.left lapsed 1"}},
		"what an entry waits for": {
			rules: map[string]automate.Rule{"wait": {
				On: automate.Trigger{Schedule: &automate.ScheduleTrigger{Cron: "0 9 * * *", TimeZone: "UTC"}},
				Steps: []automate.Step{{Name: "wait", Wait: &automate.Wait{Event: "visited", For: 1}}, {
					Name: "left",
					Wait: &automate.Wait{Event: automate.SegmentEntered, For: 1},
				}},
			}},
			want: []string{"event visited 1", "segment.entered 1"},
		},
		"nothing of a rule that is suspended": {
			rules: map[string]automate.Rule{"on": onEvent("purchased")}, then: func(b *ruleBench) { b.must(b.db.SuspendRule(b.ctx, "on")) },
		},
		"nothing of a rule that was deleted": {
			rules: map[string]automate.Rule{"on": onEvent("purchased")}, then: func(b *ruleBench) { b.must(b.db.DormantRule(b.ctx, "on")) },
		},
		"nothing of a tenant that is suspended": {
			rules: map[string]automate.Rule{"on": onEvent("purchased")}, then: func(b *ruleBench) { b.exec("update tenant set suspended = true") },
		},
		"nothing that an older version listened to": {
			rules: map[string]automate.Rule{"on": onEvent("purchased")}, then: func(b *ruleBench) { b.save("on", onEvent("visited")) },
			want: []string{"event visited 1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newRuleBench(t)
			for name, rule := range test.rules {
				b.save(name, rule)
			}
			if test.then != nil {
				test.then(b)
			}
			b.happen()
			slices.Sort(test.want)
			if diff := cmp.Diff(test.want, b.noted(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("noted (-want +got):\n%s", diff)
			}
		})
	}
}

func (b *ruleBench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func TestSavingARule(t *testing.T) {
	b := newRuleBench(t)
	revision := func() string { return b.texts("select revision::text from automation_revision")[0] }
	if state := b.save("on", onEvent("purchased")); state.Version != 1 {
		t.Errorf("the first version is %d", state.Version)
	}
	before := revision()
	changed, state, err := b.db.SaveRule(b.ctx, store.RuleDefinition{Name: "on", Rule: onEvent("purchased")})
	if err != nil || changed || state.Version != 1 || revision() != before {
		t.Errorf("saving it again: changed %v, version %d, %v", changed, state.Version, err)
	}
	b.must(b.db.DormantRule(b.ctx, "on"))
	if changed, state, err = b.db.SaveRule(b.ctx, store.RuleDefinition{Name: "on", Rule: onEvent("purchased")}); err != nil || !changed || state.Version != 1 {
		t.Errorf("bringing it back: changed %v, version %d, %v", changed, state.Version, err)
	}
	if state := b.save("on", onEvent("visited")); state.Version != 2 {
		t.Errorf("an edit makes version %d", state.Version)
	}
}
