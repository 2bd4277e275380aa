package work_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// TestMain runs the tests, or, in a process that a test started, a worker.
func TestMain(m *testing.M) {
	if dir := os.Getenv(workerProcess); dir != "" {
		os.Exit(runWorkerProcess(dir))
	}
	storetest.Main(m)
}

// patience is how long a test waits for what must happen; it is reached only when something is broken.
const patience = 2 * time.Minute

// house is a tenant with people, a relay, and a directory from which workers take their credentials. Its workers log in
// as the runtime role, which owns nothing.
type house struct {
	t       *testing.T
	db      *store.DB
	relay   *delivertest.Server
	tenants string // directory of tenant directories
	runtime string // URL of the runtime role

	waitArrived func() // waits until a message is held at the relay
	gate        chan struct{}
}

const tenantID = "velo-test"

// newHouse makes a tenant with n people, c1@people.example and so on, who have consented to the newsletter. When the
// test ends its ledger must add up, and nobody may have received anything twice.
func newHouse(t *testing.T, n int) *house {
	t.Helper()
	return newHouseIn(t, storetest.New(t), n)
}

// newHouseIn is newHouse in this database.
func newHouseIn(t *testing.T, db *store.DB, n int) *house {
	t.Helper()
	h := &house{t: t, db: db, relay: delivertest.NewServer(t, delivertest.Behaviour{}), tenants: t.TempDir()}
	h.exec("insert into tenant (id, namespace, display_name, public_url) values ($1, 'velo', 'Velo Ciclismo', 'https://crm.velo.example')", tenantID)
	h.exec("alter table contact add column attr_first_name text, add column attr_value numeric, add column attr_born date")
	h.exec(`insert into attribute (record_type, name, column_name, type) values ('contact', 'first_name', 'attr_first_name', 'String'),
		('contact', 'value', 'attr_value', 'Decimal'), ('contact', 'born', 'attr_born', 'Date')`)
	h.exec("insert into segment (name, match, digest, predicate, arguments) values ('everybody', 'true', 'd1', 'true', '[]')")
	h.exec("insert into contact (locale, attr_first_name, attr_value, attr_born) select 'es', 'Ana ' || i, i + 0.5, '1980-02-29' from generate_series(1, $1::int) i", n)
	h.exec("insert into identifier (type, value) select 'email', 'c' || id || '@people.example' from contact order by id")
	h.exec(`insert into identifier_link (identifier_id, contact_id, verified, source)
		select i.id, c.id, true, 'test' from contact c join identifier i on i.value = 'c' || c.id || '@people.example'`)
	h.exec("insert into consent (contact_id, purpose, granted, source) select id, 'newsletter', true, 'test' from contact")
	h.channel(nil)
	h.template("Hola {{ contact.first_name }}")
	h.runtimeRole()
	h.credentials(nil)
	t.Cleanup(h.check)
	return h
}

func (h *house) exec(sql string, arguments ...any) {
	h.t.Helper()
	if _, err := h.db.Pool.Exec(context.Background(), sql, arguments...); err != nil {
		h.t.Fatalf("%s: %v", sql, err)
	}
}

// channel declares the channel "newsletter" over the relay.
func (h *house) channel(change func(*store.EmailSettings)) {
	h.t.Helper()
	settings := store.EmailSettings{
		From: "Velo <hola@velo.example>", Host: h.relay.Host(), Port: h.relay.Port(), TLS: "None", Connections: 2, DKIM: "Relay",
	}
	if change != nil {
		change(&settings)
	}
	if _, _, err := h.db.SaveChannel(context.Background(), store.Channel{Name: "newsletter", Type: "Email", Email: settings}); err != nil {
		h.t.Fatal(err)
	}
}

// template declares the template "spring" with this subject.
func (h *house) template(subject string) {
	h.t.Helper()
	_, err := h.db.SaveTemplate(context.Background(), store.Template{
		Name: "spring", DefaultLocale: "es", Digest: subject,
		Content: []store.TemplateContent{{
			Locale: "es", Subject: subject,
			HTML: `<p>{{ contact.first_name }}, {{ contact.value }}, {{ contact.born }}, {{ tenant.display_name }}</p><a href="{{ unsubscribe_url }}">baja</a>`,
		}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// runtimeRole makes the role that workers log in as, with the rights that the operator gives it.
func (h *house) runtimeRole() {
	h.t.Helper()
	owner, err := url.Parse(storetest.URL(h.t, h.db))
	if err != nil {
		h.t.Fatal(err)
	}
	role := "runtime_" + strings.TrimPrefix(owner.Path, "/")
	h.exec("create role " + role + " login password 'test'")
	if err := h.db.EnsureGrants(context.Background(), role); err != nil {
		h.t.Fatal(err)
	}
	owner.User = url.UserPassword(role, "test")
	h.runtime = owner.String()
}

// credentials writes the tenant's directory.
func (h *house) credentials(channels map[string]credentials.Channel) {
	h.t.Helper()
	if err := credentials.Write(h.tenants, credentials.Tenant{ID: tenantID, DatabaseURL: h.runtime, Channels: channels}); err != nil {
		h.t.Fatal(err)
	}
}

// campaign declares the campaign "spring", due now.
func (h *house) campaign(change func(*store.SendConfig)) int64 {
	h.t.Helper()
	c := store.SendConfig{
		SendKey: "spring-2027", Campaign: "spring", Purpose: "newsletter", Channel: "newsletter", Segments: []string{"everybody"},
		MaxRecipients: 1_000_000, Variants: []store.SendVariant{{Name: "a", Template: "spring", Weight: 1}},
		StartsAt: time.Now().Add(-time.Minute), Deadline: time.Now().Add(time.Hour),
	}
	if change != nil {
		change(&c)
	}
	applied, err := h.db.UpsertSend(context.Background(), c)
	if err != nil {
		h.t.Fatal(err)
	}
	return applied.ID
}

// frozen declares the campaign "spring" and writes its audience into the ledger, as a worker does that hands nothing over.
func (h *house) frozen() int64 {
	h.t.Helper()
	ctx := context.Background()
	id := h.campaign(nil)
	if _, err := h.db.EvaluateSegment(ctx, "everybody"); err != nil {
		h.t.Fatal(err)
	}
	sends, err := h.db.OpenSends(ctx)
	if err != nil || len(sends) != 1 {
		h.t.Fatalf("%d sends, %v", len(sends), err)
	}
	if _, err := h.db.MoveSend(ctx, sends[0], campaign.Freezing, ""); err != nil {
		h.t.Fatal(err)
	}
	sends[0].State = campaign.Freezing
	if state, err := h.db.FreezeSend(ctx, sends[0], time.Now()); err != nil || state != campaign.Sending {
		h.t.Fatalf("freeze: %s, %v", state, err)
	}
	return id
}

// noon has the tenant live where it is about noon, so that no day ends while a test counts by days.
func (h *house) noon() {
	h.t.Helper()
	h.exec("update tenant set time_zone = $1", storetest.NoonZone())
}

// options are those of a quick worker.
func (h *house) options() work.Options {
	return quickOptions(h.tenants)
}

func quickOptions(tenants string) work.Options {
	const quick = 20 * time.Millisecond
	return work.Options{
		TenantsDir: tenants, TenantPoll: quick, SendPoll: quick, CampaignPoll: quick, SegmentPoll: quick, RulePoll: quick, SweepPoll: quick, StatusEvery: quick,
		Lease: 2 * time.Second, Grace: 10 * time.Second,
		Deferral:        campaign.Backoff{First: quick, Max: 50 * time.Millisecond},
		ChannelBackoff:  campaign.Backoff{First: quick, Max: 50 * time.Millisecond},
		DatabaseBackoff: campaign.Backoff{First: quick, Max: 50 * time.Millisecond},
		Connector:       openSquare, ListenPoll: quick, ListenNetworks: loopback,
		SourceBackoff: campaign.Backoff{First: quick, Max: 100 * time.Millisecond},
	}
}

// patientOptions are quick ones, but for leases that do not run out, and a grace that is not over, while a test holds the relay or the machine stands
// still.
func patientOptions(h *house) work.Options {
	o := h.options()
	o.Lease, o.Grace = time.Minute, time.Minute
	return o
}

// worker starts a worker in this process. The function that it returns stops it as SIGTERM would and waits; it is also
// called when the test ends.
func (h *house) worker(o work.Options) (stop func()) {
	h.t.Helper()
	_, stop = h.observed(o)
	return stop
}

// observed is worker for a test that asks how the worker fares.
func (h *house) observed(o work.Options) (w *work.Worker, stop func()) {
	h.t.Helper()
	w, err := work.New(o)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(logr.NewContext(context.Background(), testr.New(h.t)))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Run(ctx); err != nil {
			h.t.Errorf("the worker failed: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	h.t.Cleanup(stop)
	return w, stop
}

func (h *house) status() store.SendStatus {
	h.t.Helper()
	s, err := h.db.SendStatus(context.Background(), "spring")
	if err != nil {
		h.t.Fatalf("status: %v", err)
	}
	return s
}

// counts is a status in a line.
func counts(s store.SendStatus) string {
	line := fmt.Sprintf("%s planned %d sent %d failed %d ambiguous %d pending %d", s.State, s.Planned, s.Sent, s.Failed, s.Ambiguous, s.Pending)
	for _, skip := range s.SkippedByReason {
		line += fmt.Sprintf(" %s %d", skip.Reason, skip.Count)
	}
	return line
}

// eventually waits until f gives true.
func (h *house) eventually(what string, f func() bool) {
	h.t.Helper()
	gomega.NewWithT(h.t).Eventually(f).WithTimeout(patience).WithPolling(5*time.Millisecond).Should(gomega.BeTrue(), what)
}

// becomes waits until the campaign's counts are these.
func (h *house) becomes(want string) {
	h.t.Helper()
	gomega.NewWithT(h.t).Eventually(func() string { return counts(h.status()) }).WithTimeout(patience).WithPolling(5 * time.Millisecond).
		Should(gomega.Equal(want))
}

// received counts the messages of each recipient.
func (h *house) received() map[string]int {
	got := map[string]int{}
	for _, to := range h.relay.Recipients() {
		got[to]++
	}
	return got
}

// people are the addresses of contacts, once each.
func people(ids ...int) map[string]int {
	want := map[string]int{}
	for _, id := range ids {
		want[fmt.Sprintf("c%d@people.example", id)] = 1
	}
	return want
}

func upTo(n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i + 1
	}
	return ids
}

func (h *house) wantReceived(want map[string]int) {
	h.t.Helper()
	if diff := cmp.Diff(want, h.received()); diff != "" {
		h.t.Errorf("received messages differ (-want +got):\n%s", diff)
	}
}

// check proves invariants 1 and 2: nobody twice, and the sums agree.
func (h *house) check() {
	h.t.Helper()
	findings, err := h.db.AuditLedger(context.Background())
	if err != nil {
		h.t.Errorf("audit: %v", err)
	}
	for _, f := range findings {
		h.t.Error(f)
	}
	for to, n := range h.received() {
		if n > 1 {
			h.t.Errorf("%s received %d messages", to, n)
		}
	}
}

// rows dumps the ledger for messages about failed tests.
func (h *house) rows() string {
	rows, err := h.db.Pool.Query(context.Background(), "select state, reason, reply, count(*) n from ledger group by 1, 2, 3 order by 4 desc limit 20")
	if err != nil {
		return err.Error()
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err.Error()
		}
		line, _ := json.Marshal(values)
		lines = append(lines, string(line))
	}
	return strings.Join(lines, "\n")
}
