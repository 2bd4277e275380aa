package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// sendCampaign is what the measured campaign, its channel, template and segment are called.
const sendCampaign = "spring"

// sendAttributes are what the message says of its recipient.
var sendAttributes = []crm.Attribute{
	{Name: "first_name", Type: crm.String, Personal: true},
	{Name: "last_name", Type: crm.String, Personal: true},
	{Name: "city", Type: crm.String},
	{Name: "plan", Type: crm.String, Enum: []string{"free", "club", "pro"}},
	{Name: "points", Type: crm.Integer},
	{Name: "renews", Type: crm.Date},
}

// sendTenant is a tenant with a campaign that lies ready.
type sendTenant struct {
	*store.DB
	server *postgres.Server
	dir    string // of its worker's credentials
	sendID int64
}

// newSendTenant makes a tenant with n people who consented, each with an address of their own that begins with a number.
func newSendTenant(ctx context.Context, at *scratch, n int) (*sendTenant, error) {
	db, err := newDatabase(ctx, at.server, "sends")
	if err != nil {
		return nil, err
	}
	t := &sendTenant{DB: db, server: at.server, dir: filepath.Join(at.dir, "tenants")}
	if err := t.prepare(ctx, n); err != nil {
		db.Close()
		return nil, err
	}
	return t, nil
}

func (t *sendTenant) prepare(ctx context.Context, n int) error {
	tenant := store.Tenant{
		ID: tenantID, Namespace: tenantID, DisplayName: "Benchmarks", TimeZone: "UTC", Locales: []string{"en"}, PublicURL: "https://crm.bench.example",
	}
	if _, err := t.SaveTenant(ctx, tenant); err != nil {
		return err
	}
	if _, _, err := t.EnsureAttributes(ctx, sendAttributes); err != nil {
		return err
	}
	fence, err := t.LoadFence(ctx)
	if err != nil {
		return err
	}
	if err := t.PermitSending(ctx, fence.Identity); err != nil {
		return err
	}
	for _, statement := range inventPeople {
		if _, err := t.Pool.Exec(ctx, strings.ReplaceAll(statement, "$1", strconv.Itoa(n))); err != nil {
			return fmt.Errorf("invent people: %w", err)
		}
	}
	return credentials.Write(t.dir, credentials.Tenant{ID: tenantID, DatabaseURL: t.server.URL("sends"), PublicURL: tenant.PublicURL})
}

// inventPeople makes $1 people as an import leaves them, with the statistics that autovacuum would gather. Half of them are
// with one provider, the others with five.
var inventPeople = []string{
	`insert into contact (locale, time_zone, tags, attr_first_name, attr_last_name, attr_city, attr_plan, attr_points, attr_renews)
		select 'en', 'Europe/Madrid', array['road', 'gravel', 'mtb', 'commuter'], 'Name' || i % 1000, 'Surname' || i % 5000, 'City ' || i % 200,
			(array['free', 'club', 'pro'])[i % 3 + 1], i % 4000, date '2027-01-01' + i % 365
		from generate_series(1, $1) i`,
	`insert into identifier (type, value, hash) select 'email', a.value, keyed_hash(k.key, a.value)
		from (
			select id || '.' || lower(attr_first_name) || '@' || case when id % 2 = 0 then 'large' else 'provider' || id % 5 end || '.example' "value"
			from contact) a,
			(select key from secret_key where purpose = 'address') k`,
	`insert into identifier_link (identifier_id, contact_id, verified, source)
		select id, split_part(value, '.', 1)::bigint, true, 'bench' from identifier`,
	`insert into consent (contact_id, purpose, granted, source) select id, 'newsletter', true, 'bench' from contact`,
	`insert into segment (name, match, digest, predicate, arguments) values ('` + sendCampaign + `', 'true', 'd1', 'true', '[]')`,
	`vacuum analyze`,
}

// declare declares a campaign to everybody over a relay, and freezes its audience. It is suspended. It returns what the
// freeze took.
func (t *sendTenant) declare(ctx context.Context, relay string, connections int) (f freeze, err error) {
	host, port, err := net.SplitHostPort(relay)
	if err != nil {
		return f, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return f, err
	}
	_, _, err = t.SaveChannel(ctx, store.Channel{Name: sendCampaign, Type: "Email", Email: store.EmailSettings{
		From: "Velo <news@bench.example>", Host: host, Port: number, TLS: "None", Connections: connections, DKIM: "Relay",
	}})
	if err != nil {
		return f, err
	}
	_, err = t.SaveTemplate(ctx, store.Template{
		Name: sendCampaign, DefaultLocale: "en", Digest: "bench",
		Content: []store.TemplateContent{{Locale: "en", Subject: sendSubject, HTML: sendHTML(), Text: sendText()}},
	})
	if err != nil {
		return f, err
	}
	config := store.SendConfig{
		SendKey: "spring-2027", Campaign: sendCampaign, Purpose: "newsletter", Channel: sendCampaign, Segments: []string{sendCampaign},
		MaxRecipients: 10_000_000, Variants: []store.SendVariant{{Name: "a", Template: sendCampaign, Weight: 1}},
		Tracking: store.Tracking{Opens: true, Clicks: true},
		StartsAt: time.Now().Add(-time.Minute), Deadline: time.Now().Add(time.Hour),
	}
	applied, err := t.UpsertSend(ctx, config)
	if err != nil {
		return f, err
	}
	t.sendID = applied.ID
	return t.freeze(ctx, config)
}

// begin ends the suspension.
func (t *sendTenant) begin(ctx context.Context) error {
	_, err := t.Pool.Exec(ctx, "update send set suspended = false where id = $1", t.sendID)
	return err
}

// outcomes counts the recipients by outcome.
func (t *sendTenant) outcomes(ctx context.Context) (counts map[string]int64, err error) {
	var found []byte
	err = t.Pool.QueryRow(ctx, `
		select coalesce(jsonb_object_agg(outcome, n), '{}') from (select outcome, sum(n) n from send_tally where send_id = $1 group by outcome) t`,
		t.sendID).Scan(&found)
	if err != nil {
		return nil, fmt.Errorf("count the outcomes: %w", err)
	}
	return counts, json.Unmarshal(found, &counts)
}

// The message: 9 KB of HTML and text as it travels, ten links, six fields of the recipient, a loop and a condition.
const sendSubject = "{{ contact.first_name }}, spring is here"

func sendHTML() string {
	var b strings.Builder
	b.WriteString(`<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Spring</title></head><body style="font-family: sans-serif; color: #222">
<h1 style="color: #0a5">Hello {{ contact.first_name }} {{ contact.last_name }}</h1>
<p>You ride in {{ contact.city }} and have {{ contact.points }} points; your plan renews on {{ contact.renews }}.</p>
{% if contact.plan == "pro" %}<p>As a member of the {{ contact.plan }} plan you get the first day of our sale for yourself.</p>
{% else %}<p>With the pro plan the first day of our sale would be yours.</p>{% endif %}
<ul>{% for tag in contact.tags %}<li>New for {{ tag }} riders</li>{% endfor %}</ul>
`)
	for i := range 9 {
		fmt.Fprintf(&b, `<table role="presentation" width="100%%" cellpadding="0" cellspacing="0"><tr><td style="padding: 12px; border-bottom: 1px solid #ddd">
<h2 style="font-size: 18px">Offer %d</h2><p style="line-height: 1.5">%s</p>
<p><a href="https://shop.bench.example/offers/%d?from=mail" style="color: #0a5">See the offer</a></p></td></tr></table>
`, i+1, prose(i, 52), i+1)
	}
	b.WriteString(`<p style="font-size: 12px">You get this mail because you subscribed. <a href="{{ unsubscribe_url }}">Unsubscribe</a></p></body></html>`)
	return b.String()
}

func sendText() string {
	var b strings.Builder
	b.WriteString("Hello {{ contact.first_name }} {{ contact.last_name }}\n\nYou ride in {{ contact.city }} and have {{ contact.points }} points.\n\n")
	for i := range 9 {
		fmt.Fprintf(&b, "Offer %d: %s\n\n", i+1, prose(i, 24))
	}
	b.WriteString("Unsubscribe: {{ unsubscribe_url }}\n")
	return b.String()
}

// prose is so many words.
func prose(seed, n int) string {
	words := strings.Fields("a light frame and wide tyres carry you over gravel roads " +
		"through quiet valleys while the long evenings of spring return to the hills")
	picked := make([]string, n)
	for i := range picked {
		picked[i] = words[(seed*7+i*5)%len(words)]
	}
	return strings.Join(picked, " ")
}
