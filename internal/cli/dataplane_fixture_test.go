package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/credentials/credentialstest"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/local/ports/portstest"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// planePatience is how long these tests wait for what must happen.
const planePatience = 2 * time.Minute

// plane is a tenant with people and a relay, whose workers and servers run as processes with a mounted Secret, as in a
// cluster.
type plane struct {
	*gomega.WithT
	t      *testing.T
	db     *store.DB // as the owner
	relay  *delivertest.Server
	dir    string // where the Secret is mounted
	mount  *credentialstest.Mount
	secret credentials.Tenant
	role   string
	token  string
}

const planeTenant = "velo-test"

// newPlane makes a tenant with n people who have consented to the newsletter. Its Secret is not mounted yet.
func newPlane(t *testing.T, db *store.DB, n int) *plane {
	t.Helper()
	p := &plane{WithT: gomega.NewWithT(t), t: t, db: db, relay: delivertest.NewServer(t, delivertest.Behaviour{}), dir: t.TempDir()}
	ctx := context.Background()
	p.must(db.SaveTenant(ctx, store.Tenant{ID: planeTenant, Namespace: "velo", DisplayName: "Velo", TimeZone: "UTC", Locales: []string{"es"}, PublicURL: "https://crm.velo.example"}))
	p.exec("insert into segment (name, match, digest, predicate, arguments) values ('everybody', 'true', 'd1', 'true', '[]')")
	p.exec("insert into contact (locale) select 'es' from generate_series(1, $1::int) i", n)
	p.exec("insert into identifier (type, value) select 'email', 'c' || id || '@people.example' from contact order by id")
	p.exec(`insert into identifier_link (identifier_id, contact_id, verified, source)
		select i.id, c.id, true, 'test' from contact c join identifier i on i.value = 'c' || c.id || '@people.example'`)
	p.exec("insert into consent (contact_id, purpose, granted, source) select id, 'newsletter', true, 'test' from contact")
	p.saveChannel(false)
	p.must(db.SaveTemplate(ctx, store.Template{
		Name: "spring", DefaultLocale: "es", Digest: "1", Content: []store.TemplateContent{{Locale: "es", Subject: "Hola", HTML: "<p>Hola</p>"}},
	}))
	p.token = store.NewToken()
	p.must(db.EnsureAdminToken(ctx, store.HashToken(p.token)))
	p.role = db.Pool.Config().ConnConfig.Database + "_plane"
	p.secret = credentials.Tenant{ID: planeTenant, Namespace: "velo"}
	p.password("first")
	p.must(nil, db.EnsureGrants(ctx, p.role))
	p.mount = credentialstest.NewMount(t, p.dir)
	t.Cleanup(p.check)
	return p
}

func (p *plane) must(_ any, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *plane) saveChannel(authenticated bool) {
	p.t.Helper()
	_, _, err := p.db.SaveChannel(context.Background(), store.Channel{Name: "newsletter", Type: "Email", Email: store.EmailSettings{
		From: "Velo <hola@velo.example>", Host: p.relay.Host(), Port: p.relay.Port(), TLS: "None", Connections: 2, DKIM: "Relay", Authenticated: authenticated,
	}})
	p.must(nil, err)
}

func (p *plane) exec(sql string, arguments ...any) {
	p.t.Helper()
	_, err := p.db.Pool.Exec(context.Background(), sql, arguments...)
	p.must(nil, err)
}

// password gives the runtime role a password, and names it in the Secret, which is not mounted by this.
func (p *plane) password(password string) {
	p.t.Helper()
	p.must(nil, p.db.EnsureLogin(context.Background(), p.role, password))
	url, err := store.URLAs(storetest.URL(p.t, p.db), p.role, password)
	p.must(nil, err)
	p.secret.DatabaseURL = url
}

// hangUp ends the runtime role's connections, so that it has to log in anew.
func (p *plane) hangUp() {
	p.t.Helper()
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, storetest.AdminURL(p.t))
	p.must(nil, err)
	defer func() { _ = admin.Close(ctx) }()
	p.must(admin.Exec(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", p.role))
}

// campaign declares the campaign "spring", due now.
func (p *plane) campaign() {
	p.t.Helper()
	p.must(p.db.UpsertSend(context.Background(), store.SendConfig{
		SendKey: "spring-2027", Campaign: "spring", Purpose: "newsletter", Channel: "newsletter", Segments: []string{"everybody"},
		MaxRecipients: 1_000_000, Variants: []store.SendVariant{{Name: "a", Template: "spring", Weight: 1}},
		StartsAt: time.Now().Add(-time.Minute), Deadline: time.Now().Add(time.Hour),
	}))
}

// slowly makes the relay take so long for each final dot.
func (p *plane) slowly(wait time.Duration, auth map[string]string) {
	p.relay.Behave(delivertest.Behaviour{Auth: auth, Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage != delivertest.Dot {
			return delivertest.Action{}
		}
		answer := make(chan struct{})
		time.AfterFunc(wait, func() { close(answer) })
		return delivertest.Action{Wait: answer}
	}})
}

// arrived waits until so many messages are at the relay.
func (p *plane) arrived(n int) {
	p.t.Helper()
	p.Eventually(func() int { return len(p.relay.Messages()) }).WithTimeout(planePatience).WithPolling(5 * time.Millisecond).
		Should(gomega.BeNumerically(">=", n))
}

// states counts the ledger's rows by state.
func (p *plane) states() map[campaign.RowState]int {
	p.t.Helper()
	rows, err := p.db.Pool.Query(context.Background(), "select state, count(*)::int from ledger group by 1")
	p.must(nil, err)
	defer rows.Close()
	got := map[campaign.RowState]int{}
	for rows.Next() {
		var state campaign.RowState
		var n int
		p.must(nil, rows.Scan(&state, &n))
		got[state] = n
	}
	p.must(nil, rows.Err())
	return got
}

// check proves that nobody received anything twice, and that the sums agree.
func (p *plane) check() {
	p.t.Helper()
	findings, err := p.db.AuditLedger(context.Background())
	if err != nil || len(findings) > 0 {
		p.t.Errorf("audit: %v, %v", findings, err)
	}
	got := map[string]int{}
	for _, to := range p.relay.Recipients() {
		if got[to]++; got[to] > 1 {
			p.t.Errorf("%s received %d messages", to, got[to])
		}
	}
}

// program is a process of the tertulia program.
type program struct {
	*exec.Cmd
	plane           *plane
	health, address string // address is where a server serves
	ended           chan error

	mu  sync.Mutex
	log strings.Builder
}

// start runs a verb with the flags that it has in a cluster.
func (p *plane) start(verb string, more ...string) *program {
	p.t.Helper()
	r := &program{plane: p, health: portstest.Address(p.t), ended: make(chan error, 1)}
	args := append([]string{verb, "--tenant-dir", p.dir, "--health-listen", r.health, "--metrics-listen", portstest.Address(p.t)}, more...)
	if verb == "server" {
		r.address = portstest.Address(p.t)
		args = append(args, "--listen", r.address)
	}
	r.Cmd = exec.Command(os.Args[0], args...) //nolint:gosec // this test binary
	r.Env = append(os.Environ(), runAsProgram+"=yes")
	output, err := r.StderrPipe()
	p.must(nil, err)
	p.must(nil, r.Start())
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			r.mu.Lock()
			r.log.WriteString(lines.Text() + "\n")
			r.mu.Unlock()
		}
	}()
	go func() {
		<-logged
		r.ended <- r.Wait()
	}()
	p.t.Cleanup(func() {
		_ = r.Process.Kill()
		<-logged
		if p.t.Failed() {
			p.t.Logf("%s:\n%s", verb, r.said())
		}
	})
	return r
}

func (r *program) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// probe asks a health endpoint and gives its status and its words, "" while nobody listens.
func (r *program) probe(path string) string {
	response, err := http.Get("http://" + r.health + path) //nolint:noctx // a local server
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	return fmt.Sprintf("%d %s", response.StatusCode, text)
}

// becomes waits until an endpoint answers so.
func (r *program) becomes(path, want string) {
	r.plane.t.Helper()
	r.plane.Eventually(func() string { return r.probe(path) }).WithTimeout(planePatience).WithPolling(20*time.Millisecond).
		Should(gomega.ContainSubstring(want), r.said)
}

func (r *program) signal(s syscall.Signal) {
	r.plane.t.Helper()
	r.plane.must(nil, r.Process.Signal(s))
}

// ends waits until the process has ended, and ended well.
func (r *program) ends(within time.Duration) {
	r.plane.t.Helper()
	select {
	case err := <-r.ended:
		if err != nil {
			r.plane.t.Errorf("it did not end well: %v", err)
		}
	case <-time.After(within):
		r.plane.t.Fatalf("it has not ended after %s", within)
	}
}
