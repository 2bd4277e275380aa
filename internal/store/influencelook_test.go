package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/monitor/influence"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func polarity(p float64) func(*store.Judged) {
	return func(j *store.Judged) { j.Sentiment = sentiment.Verdict{Label: sentiment.Neutral, Polarity: p} }
}

// names are the handles of who moves the talk, without their host.
func names(found store.Influence) string {
	var list []string
	for _, i := range found.Top {
		list = append(list, strings.TrimSuffix(i.Handle, "@social.example"))
	}
	return strings.Join(list, " ")
}

// ana is who everybody takes up, praises for months, and brings three to the brand. carla is her mirror with less of it. velo is ours.
func (l influenced) talk() {
	l.t.Helper()
	lease := l.lease("a")
	now := time.Now()
	var posts []store.Judged
	add := func(author string, kind listen.Kind, ago time.Duration, p float64, topics []int64, others ...string) {
		posts = append(posts, post(fmt.Sprint(len(posts)), by(author), takesUp(kind, now.Add(-ago), topics, others...), polarity(p)))
	}
	brand := []int64{1}
	for month := range 4 {
		add("ana", listen.Original, time.Duration(month*31+20)*day, 0.6, brand)
		add("carla", listen.Original, time.Duration(month*31+20)*day, -0.6, brand)
		add("velo", listen.Original, time.Duration(month*31+20)*day, 0.9, brand)
	}
	for i := range 18 {
		fan := fmt.Sprint("fan", i)
		add(fan, listen.Repost, 5*day, 0.1, brand, []string{"ana", "velo"}[:1+min(i, 1)]...)
		if i < 12 {
			add(fan, listen.Reply, 4*day, 0, brand, "carla")
		}
	}
	for i := range 3 { // talked with ana about something else, and then wrote about the brand
		add(fmt.Sprint("new", i), listen.Reply, 3*day, 0, nil, "ana")
		add(fmt.Sprint("new", i), listen.Original, 2*day, 0.2, brand)
	}
	add("late", listen.Reply, 9*day, 0, nil, "carla") // too long before
	add("late", listen.Original, 2*day, 0.2, brand)
	add("pedalia", listen.Reply, 2*day, 0.2, []int64{3}, "ana") // a competitor's topic
	l.take(lease, posts...)
	l.add()
}

func TestInfluence(t *testing.T) {
	ctx := context.Background()
	l := newInfluenced(t)
	if found := l.influence("Brand"); found.RankedAt != nil || len(found.Top) != 0 {
		t.Errorf("before: %+v", found)
	}
	l.talk()
	if got := fmt.Sprint(l.refresh()); got != "[Brand true Product true]" {
		t.Errorf("due: %s", got)
	}
	found := l.influence("Brand")
	if !strings.HasPrefix(names(found), "ana velo carla ") || found.RankedAt == nil || found.Authors != 25 || found.Edges != 47 {
		t.Errorf("%s of %d authors and %d edges", names(found), found.Authors, found.Edges)
	}
	ana := found.Top[0]
	if ana.Place != 1 || ana.Amplifiers != 18 || ana.Posts != 4 || ana.Brought != 3 || ana.Staff || ana.Damping != 1 || ana.PublicID == "" ||
		ana.Network != social || ana.Parts.PageRank == nil || *ana.Parts.PageRank < 0.9 || ana.Parts.Followers != nil {
		t.Errorf("ana: %+v", ana)
	}
	roles := map[string][]influence.Role{}
	for _, i := range found.Top {
		if len(i.Roles) > 0 {
			roles[i.Handle] = i.Roles
		}
	}
	want := map[string][]influence.Role{
		"ana@social.example": {influence.Ambassador, influence.Leader}, "carla@social.example": {influence.Detractor},
	}
	if diff := cmp.Diff(want, roles); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	if velo := found.Top[1]; !velo.Staff {
		t.Errorf("our own account: %+v", velo)
	}
	detractors, err := l.Influence(ctx, store.InfluenceQuery{Monitor: "velo", Role: influence.Detractor, Limit: 1})
	if err != nil || names(detractors) != "carla" || detractors.Topic != "Brand" || detractors.Top[0].Place != 3 {
		t.Errorf("%s, %v", names(detractors), err)
	}
	if found := l.influence("Product"); len(found.Top) != 0 || found.RankedAt == nil {
		t.Errorf("the product: %+v", found)
	}
	for name, q := range map[string]store.InfluenceQuery{
		"a competitor": {Monitor: "velo", Topic: "Competitor"}, "no topic": {Monitor: "velo", Topic: "none"}, "too many": {Monitor: "velo", Limit: 501},
	} {
		var asked *store.QueryError
		if _, err := l.Influence(ctx, q); !errors.As(err, &asked) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := l.Influence(ctx, store.InfluenceQuery{Monitor: "none"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no monitor: %v", err)
	}
}

// Who is forgotten is not told of from that moment on, whatever is computed before, at the same time or later.
func TestInfluenceOfTheForgotten(t *testing.T) {
	l := newInfluenced(t)
	l.talk()
	l.refresh()
	if got := names(l.influence("Brand")); !strings.HasPrefix(got, "ana velo carla ") {
		t.Fatal(got)
	}
	without := func(when string) {
		t.Helper()
		if got := names(l.influence("Brand")); !strings.HasPrefix(got, "velo carla ") || strings.Contains(got, "ana") {
			t.Errorf("%s: %s", when, got)
		}
	}
	l.batch(l.lease("a"), listen.Batch{Deleted: []listen.Deletion{{AuthorID: "https://social.example/users/ana"}}})
	without("at once")
	l.exec("update influence_topic set unranked = true")
	l.refresh()
	without("ranked again")
	l.take(l.lease("a"), post("again", by("ana"), takesUp(listen.Original, time.Now().Add(time.Second), []int64{1})))
	l.night()
	without("after the night, and new words")
	if n := query(t, l.DB, "select count(*)::text from influence_score s join author a on a.id = s.author_id where a.forgotten_at is not null"); n[0] != "0" {
		t.Errorf("%s scores are left", n)
	}
	// Who has nothing left but a name that was taken away is nobody.
	l.exec("update author set native_id = null, handle = '', name = '' where handle = 'carla@social.example'")
	if got := names(l.influence("Brand")); strings.Contains(got, "carla") || strings.HasSuffix(got, " ") {
		t.Errorf("of a nobody: %q", got)
	}
}

func TestInfluenceIsDue(t *testing.T) {
	ctx := context.Background()
	l := newInfluenced(t)
	due := func() string {
		t.Helper()
		list, err := l.InfluenceDue(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(list)
	}
	if got := due(); got != "[{1 velo Brand true} {2 velo Product true}]" {
		t.Errorf("new topics: %s", got)
	}
	l.talk()
	l.refresh()
	if got := due(); got != "[]" {
		t.Errorf("at once: %s", got)
	}
	l.exec("update influence_topic set tried_at = tried_at - interval '16 minutes'")
	if got := due(); got != "[]" {
		t.Errorf("where nothing was added: %s", got)
	}
	l.take(l.lease("a"), post("more", by("fan1"), takesUp(listen.Reply, time.Now(), []int64{1}, "ana")))
	l.add()
	if got := due(); got != "[{1 velo Brand false}]" {
		t.Errorf("where something was added: %s", got)
	}
	l.exec("update topic set changed_at = now() where id = 1")
	if got := due(); got != "[{1 velo Brand true}]" {
		t.Errorf("where a topic was changed: %s", got)
	}
	l.exec("update topic set matched_to = 0 where id = 1")
	if got := due(); got != "[]" {
		t.Errorf("while it is compared with what is stored: %s", got)
	}
	l.exec("update topic set matched_to = null")
	l.exec("update monitor set suspended = true")
	if got := due(); got != "[]" || len(l.influence("Brand").Top) == 0 {
		t.Errorf("of a monitor that is suspended: %s", got)
	}
	l.exec("update topic set dropped_at = now() where id = 1")
	due()
	for table, want := range map[string]string{"influence_topic": "1", "influence_edge": "0", "influence_score": "0"} {
		if n := query(t, l.DB, "select count(*)::text from "+table); n[0] != want {
			t.Errorf("%s of a topic that is not declared any more: %s", table, n)
		}
	}
}

// Edges are made anew at three in the night of the monitor's time zone.
func TestLastNight(t *testing.T) {
	for name, c := range map[string]struct{ now, zone, want string }{
		"by day":             {"2026-11-22T14:00:00Z", "Europe/Madrid", "2026-11-22T02:00:00Z"},
		"before three":       {"2026-11-22T01:59:59Z", "Europe/Madrid", "2026-11-21T02:00:00Z"},
		"at three":           {"2026-11-22T02:00:00Z", "Europe/Madrid", "2026-11-22T02:00:00Z"},
		"another day there":  {"2026-11-22T02:00:00Z", "America/Lima", "2026-11-21T08:00:00Z"},
		"clocks are set":     {"2026-03-29T00:59:00Z", "Europe/Madrid", "2026-03-28T02:00:00Z"},
		"an hour is skipped": {"2026-03-29T01:30:00Z", "Europe/Madrid", "2026-03-29T01:00:00Z"},
		"nowhere":            {"2026-11-22T14:00:00Z", "Nowhere", "2026-11-22T03:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339, c.now)
			if err != nil {
				t.Fatal(err)
			}
			if got := store.LastNight(now, c.zone).UTC().Format(time.RFC3339); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// Workers may compute, and servers tell.
func TestRuntimeRoleComputesInfluence(t *testing.T) {
	ctx := t.Context()
	cluster, err := store.OpenCluster(ctx, storetest.AdminURL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	owner, runtimeURL := provision(t, cluster, "velo-influence")
	db, err := store.Open(ctx, runtimeURL, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if _, err := owner.SaveTenant(ctx, store.Tenant{ID: "velo-influence", Namespace: "velo", TimeZone: "UTC", Locales: []string{"es"}}); err != nil {
		t.Fatal(err)
	}
	declared := influenced{listening{owner, t}}
	declared.save(store.Source{Name: "a", Type: "Mastodon", Settings: []byte("{}"), Interval: time.Minute})
	declared.exec("insert into monitor (name) values ('velo')")
	declared.exec("insert into topic (monitor_id, name, role, definition) select id, 'Brand', 'Brand', '{}' from monitor")
	l := influenced{listening{db, t}}
	now := time.Now()
	l.take(declared.lease("a"), post("1", by("bea"), takesUp(listen.Reply, now, []int64{1}, "ana")))
	l.add()
	for range 2 { // the second time edges differ, and are deleted
		due, err := db.InfluenceDue(ctx)
		if err != nil || len(due) != 1 {
			t.Fatalf("%v, %v", due, err)
		}
		if _, err := db.RefreshInfluence(ctx, due[0]); err != nil {
			t.Fatal(err)
		}
		if got := names(l.influence("")); got != "ana bea" {
			t.Errorf("%q", got)
		}
		declared.exec("update influence_edge set weight = 2 * weight")
		declared.exec("insert into influence_edge values (1, 7, 8, 1)")
		declared.exec("update influence_topic set tried_at = now() - interval '1 day', built_at = now() - interval '2 days'")
		l.take(declared.lease("a"), post("2", by("bea"), takesUp(listen.Reply, now, []int64{1}, "ana")))
		l.add()
	}
	declared.exec("update topic set dropped_at = now()")
	if due, err := db.InfluenceDue(ctx); err != nil || len(due) != 0 {
		t.Errorf("%v, %v", due, err)
	}
}
