package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/pace"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// world is what one run of a scenario happens in: a tenant with people, its database, its mail server, and its processes.
type world struct {
	scenario   Scenario
	parameters Parameters
	result     *Result
	random     *rand.Rand
	dir        string

	database *database // nil in a cluster, whose database is everybody's
	db       *store.DB // the tenant's, as somebody who may read everything
	relay    *relay
	cluster  *clusterTenant // nil without one
	id       string         // the tenant's
	tenant   string         // the tenant's directory

	processes []*process
	senders   int        // how many workers were started to send at once
	workers   []*process // that run, and are to end well
	started   int
	proxies   []*proxy
	clock     string // the file by which workers read what time it is; "" for the machine's clock

	// What the scenario did, for the comparison.
	unsubscribed map[int]time.Time // when it was answered to whom
	refused      func(person int) bool
	excused      map[int]bool // people who may be skipped
	merged       []merging
	people       map[int64]int // who contacts were before some were merged; nil where none are
	occurrences  []occurrence  // that were sent, of a campaign that recurs
	before       int           // messages that had arrived when the send began that is disturbed
}

// signingKey signs what is posted to an endpoint.
const signingKey = "a signing key of 24 bytes and more"

// campaignName names the campaign, its send and its template.
const campaignName = "spring"

// open makes the world of a scenario. It returns one that can be closed beside an error, too.
func (s *Suite) open(ctx context.Context, scenario Scenario, p Parameters, r *Result) (*world, error) {
	w := &world{
		scenario: scenario, parameters: p, result: r, id: "velo", random: rand.New(rand.NewPCG(p.Seed, uint64(len(scenario.Name)))),
		refused: func(int) bool { return false }, unsubscribed: map[int]time.Time{}, excused: map[int]bool{},
	}
	var err error
	if w.dir, err = os.MkdirTemp(s.dir, scenario.Name+"-"); err != nil {
		return w, fmt.Errorf("make scratch space: %w", err)
	}
	// PostgreSQL may run as another user, who has to pass.
	if err := os.Chmod(w.dir, 0o711); err != nil { //nolint:gosec // as above
		return w, fmt.Errorf("make scratch space: %w", err)
	}
	if w.relay, err = w.startRelay(ctx, w.paced()); err != nil {
		return w, err
	}
	if scenario.Recurs {
		w.clock = filepath.Join(w.dir, "clock")
	}
	if scenario.Cluster {
		return w, w.joinCluster(ctx, s)
	}
	data := filepath.Join(w.dir, "data")
	if err := copyTemplate(ctx, s.template(), data); err != nil {
		return w, err
	}
	if w.database, err = startDatabase(ctx, data); err != nil {
		return w, err
	}
	return w, w.settle(ctx)
}

// settle makes a tenant in the scenario's own database.
func (w *world) settle(ctx context.Context) error {
	owner, err := w.database.url(ownerName)
	if err != nil {
		return err
	}
	if w.db, err = store.Open(ctx, owner, store.Options{MaxConns: 4, ApplicationName: "crash suite"}); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{w.permit, w.makeTenant, w.makePeople, w.makeMessage, w.makeLogin} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("make the tenant: %w", err)
		}
	}
	return nil
}

// permit lets the database be sent from, as the operator does.
func (w *world) permit(ctx context.Context) error {
	fence, err := w.db.LoadFence(ctx)
	if err != nil {
		return err
	}
	return w.db.PermitSending(ctx, fence.Identity)
}

func (w *world) makeTenant(ctx context.Context) error {
	_, err := w.db.SaveTenant(ctx, store.Tenant{
		ID: w.id, Namespace: w.id, DisplayName: "Velo", TimeZone: "Europe/Madrid", Locales: []string{"es"}, PublicURL: "https://crm.velo.example",
	})
	return err
}

// makePeople makes the audience. Person n has the address c<n> at one of three domains, so that several receivers are in the send,
// and n in an attribute, so that a message tells whose it is whatever address it went to. No address is verified: an import that
// verifies another one moves its person there.
func (w *world) makePeople(ctx context.Context) error {
	for _, statement := range []string{
		"alter table contact add column attr_first_name text",
		"insert into attribute (record_type, name, column_name, type) values ('contact', 'first_name', 'attr_first_name', 'String')",
		"insert into segment (name, match, digest, predicate, arguments) values ('everybody', 'true', 'd1', 'true', '[]')",
		fmt.Sprintf("insert into contact (locale, attr_first_name) select 'es', 'n' || i from generate_series(1, %d) i order by i", w.atFirst()),
		`insert into identifier (type, value) select 'email', 'c' || substr(attr_first_name, 2) || '@' ||
			(array['people', 'post', 'mail'])[1 + substr(attr_first_name, 2)::int % 3] || '.example' from contact order by id`,
		"insert into identifier (type, value) select 'external:shop', 'C' || substr(attr_first_name, 2) from contact order by id",
		`insert into identifier_link (identifier_id, contact_id, verified, source) select i.id, c.id, i.type <> 'email', 'shop'
			from contact c join identifier i on lower(split_part(i.value, '@', 1)) = 'c' || substr(c.attr_first_name, 2)`,
		"insert into consent (contact_id, purpose, granted, source) select id, 'newsletter', true, 'shop' from contact",
		"analyze",
	} {
		if _, err := w.db.Pool.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make people: %w", err)
		}
	}
	return nil
}

// addressOf is the address that a person has at first.
func addressOf(person int) string {
	return fmt.Sprintf("c%d@%s.example", person, []string{"people", "post", "mail"}[person%3])
}

func (w *world) makeMessage(ctx context.Context) error {
	if err := w.saveChannel(ctx, nil); err != nil {
		return err
	}
	_, err := w.db.SaveTemplate(ctx, store.Template{
		Name: campaignName, DefaultLocale: "es", Digest: "1",
		Content: []store.TemplateContent{{Locale: "es", Subject: messageSubject, HTML: messageHTML}},
	})
	return err
}

// saveChannel declares the channel, with bounds on its pace; nil for none.
func (w *world) saveChannel(ctx context.Context, limits *pace.Limits) error {
	host, port := w.relay.place()
	c := store.Channel{Name: "newsletter", Type: store.EmailType, Rate: limits, Email: store.EmailSettings{
		From: "Velo <hola@velo.example>", Host: host, Port: port, TLS: "None", Connections: connections, DKIM: "Relay",
	}}
	if w.scenario.Posted {
		c = store.Channel{Name: "newsletter", Type: store.WebhookType, Rate: limits, Webhook: store.WebhookSettings{
			URL: w.relay.url(), Connections: connections, Timeout: 30,
		}}
	}
	_, _, err := w.db.SaveChannel(ctx, c)
	return err
}

// The message. The mail server reads from its subject whose it is.
const (
	messageSubject = "{{ contact.first_name }}"
	messageHTML    = `<p>Hola, {{ contact.first_name }}.</p><p><a href="{{ unsubscribe_url }}">Baja</a></p>`
)

// makeLogin makes the role that workers and servers log in as, with the rights that the operator gives it.
func (w *world) makeLogin(ctx context.Context) error {
	if err := w.db.EnsureLogin(ctx, runtimeName, password); err != nil {
		return err
	}
	if err := w.db.EnsureGrants(ctx, runtimeName); err != nil {
		return err
	}
	url, err := w.database.url(runtimeName)
	if err != nil {
		return err
	}
	w.tenant, err = w.writeTenant("tenants", url)
	return err
}

// writeTenant writes a tenant directory below one of the world's, and returns it.
func (w *world) writeTenant(root, url string) (string, error) {
	root = filepath.Join(w.dir, root)
	t := credentials.Tenant{ID: w.id, Namespace: w.id, PublicURL: "https://crm.velo.example", DatabaseURL: url}
	if w.scenario.Posted {
		t.Channels = map[string]credentials.Channel{"newsletter": {SigningKey: signingKey}}
	}
	if err := credentials.Write(root, t); err != nil {
		return "", fmt.Errorf("write the tenant's directory: %w", err)
	}
	return filepath.Join(root, w.id), nil
}

// close ends all that runs and removes what was written. A scenario that did not hold tells how its processes' logs end.
func (w *world) close() error {
	var errs []error
	for _, p := range w.processes {
		errs = append(errs, p.Kill())
	}
	if w.result != nil && !w.result.Held() {
		w.result.Trouble = append(w.result.Trouble, w.logs()...)
	}
	for _, p := range w.proxies {
		p.close()
	}
	if w.db != nil {
		w.db.Close()
	}
	errs = append(errs, w.database.stop())
	if w.dir != "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}

// logs are the ends of the processes' logs.
func (w *world) logs() []string {
	const keep = 25
	var logs []string
	said := w.processes
	if w.cluster != nil {
		said = append(said, w.cluster.operator)
	}
	for _, p := range said {
		content, err := os.ReadFile(p.log)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(content)), "\n")
		logs = append(logs, p.name+" said:\n"+strings.Join(lines[max(0, len(lines)-keep):], "\n"))
	}
	return logs
}
