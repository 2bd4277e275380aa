package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/local/ports/portstest"
	"github.com/tertulia-crm/tertulia/internal/metrics"
	"github.com/tertulia-crm/tertulia/internal/server"
	"github.com/tertulia-crm/tertulia/internal/server/sns"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const tenantID = "velo-test"

// patience is how long a test waits for what takes moments where the machine has nothing else to do.
const patience = 3 * time.Minute

var attributes = []crm.Attribute{
	{Name: "birthday", Type: crm.Date},
	{Name: "first_name", Type: crm.String, Personal: true},
	{Name: "last_seen", Type: crm.Timestamp},
	{Name: "lifetime_value", Type: crm.Decimal},
	{Name: "member", Type: crm.Boolean},
	{Name: "orders", Type: crm.Integer},
	{Name: "plan", Type: crm.String, Enum: []string{"free", "club", "pro"}, Indexed: true},
}

var eventTypes = []store.EventType{
	{EventType: crm.EventType{Name: "purchase", Properties: []crm.Property{
		{Name: "amount", Type: crm.Decimal},
		{Name: "sku", Type: crm.String},
		{Name: "items", Type: crm.Integer},
		{Name: "gift", Type: crm.Boolean},
		{Name: "delivery", Type: crm.Date},
		{Name: "paid_at", Type: crm.Timestamp},
	}}},
	{EventType: crm.EventType{Name: "site-visit"}, Suspended: true},
}

// fixture is a server that runs, and one tenant that it serves under /t/velo-test.
type fixture struct {
	t     *testing.T
	db    *store.DB // as the owner
	roots string    // of tenant directories
	dirs  []string  // of single tenants
	stall time.Duration
	check time.Duration // of streams' tokens
	// waits, where it is set, is called when an import is told that it waits.
	waits func()
	sns   sns.Options
	url   string // of the server
	// Where its health is told, and its metrics.
	probe, metrics string
	base           string // of the tenant
	token          string // with the scope admin
	log            *logBook
	stop           func() // ends the server and waits for it
}

// newFixture serves a tenant with the runtime role's rights, as the operator would give them.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, db: storetest.New(t), roots: t.TempDir(), log: &logBook{}, check: 100 * time.Millisecond}
	f.prepare("")
	f.url = f.serve()
	f.base = f.url + "/t/" + tenantID
	return f
}

func (f *fixture) prepare(publicURL string) {
	f.t.Helper()
	ctx := context.Background()
	must := func(_ any, err error) {
		f.t.Helper()
		if err != nil {
			f.t.Fatal(err)
		}
	}
	must(f.db.SaveTenant(ctx, store.Tenant{
		ID: tenantID, Namespace: "velo", DisplayName: "Velo & Co", TimeZone: "Europe/Madrid", Locales: []string{"es", "en"}, PublicURL: publicURL,
	}))
	_, _, err := f.db.EnsureAttributes(ctx, attributes)
	must(nil, err)
	for _, e := range eventTypes {
		must(f.db.SaveEventType(ctx, e))
	}
	f.token = store.NewToken()
	must(f.db.EnsureAdminToken(ctx, store.HashToken(f.token)))
	must(nil, credentials.Write(f.roots, credentials.Tenant{ID: tenantID, DatabaseURL: f.runtimeURL()}))
}

// runtimeURL makes a role that may do what workers and servers may do, and nothing else.
func (f *fixture) runtimeURL() string {
	f.t.Helper()
	ctx := context.Background()
	role := f.db.Pool.Config().ConnConfig.Database + "_runtime"
	err := f.db.EnsureLogin(ctx, role, "runtime")
	if err == nil {
		err = f.db.EnsureGrants(ctx, role)
	}
	url := ""
	if err == nil {
		url, err = store.URLAs(storetest.URL(f.t, f.db), role, "runtime")
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return url
}

// serve runs a server over the fixture's tenants and returns its URL.
func (f *fixture) serve() string {
	f.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	f.probe, f.metrics = portstest.Address(f.t), portstest.Address(f.t)
	measured := server.NewMetrics()
	registry, err := metrics.Registry(measured.Set)
	if err != nil {
		f.t.Fatal(err)
	}
	s := server.New(server.Options{
		Roots: []string{f.roots}, Dirs: f.dirs, StallTimeout: f.stall, StreamCheck: f.check, SNS: f.sns, Version: "test", Log: funcr.New(f.log.write, funcr.Options{}), Metrics: measured,
	})
	ctx, cancel := context.WithCancel(context.Background())
	endpoints, err := health.Serve(ctx, health.Options{
		Listen: f.probe, Live: s.Live, Ready: s.Ready, MetricsListen: f.metrics, Gatherer: registry, MetricsTokens: s.MetricsTokens,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, listener) }()
	f.stop = sync.OnceFunc(func() {
		defer endpoints.Close()
		cancel()
		if err := <-ended; err != nil {
			f.t.Errorf("the server stopped with %v", err)
		}
	})
	f.t.Cleanup(f.stop)
	return "http://" + listener.Addr().String()
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

// request sends a request with the fixture's token to an address below the tenant's.
func (f *fixture) request(method, path, body string, header ...string) answer {
	f.t.Helper()
	return f.requestAs(f.token, method, f.base+path, body, header...)
}

func (f *fixture) requestAs(token, method, url, body string, header ...string) answer {
	f.t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: string(text)}
}

// json reads an answer's body.
func (a answer) json(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("status %d, body %q: %v", a.status, a.body, err)
	}
}

// counts are those of an import's lines.
type counts struct{ Rows, Created, Updated, Unchanged, Rejected int }

type rejected struct {
	Line   int
	Reason string
	Record []string
}

// imported is what an import answered.
type imported struct {
	status   int
	problem  string // of a refusal or of the last line
	result   *counts
	rejected []rejected
	waited   bool
}

func (f *fixture) importCSV(text string) imported {
	return f.importFrom("shop", strings.NewReader(text))
}

func (f *fixture) importFrom(source string, body io.Reader) imported {
	f.t.Helper()
	r, err := http.NewRequest(http.MethodPost, f.base+"/v1/imports/contacts?source="+source, body)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+f.token)
	r.Header.Set("Content-Type", "text/csv")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	got := imported{status: response.StatusCode}
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		got.problem = string(text)
		return got
	}
	lines := json.NewDecoder(response.Body)
	for {
		var line struct {
			Rejected *rejected
			Result   *counts
			Waiting  string
			Error    *struct{ Detail string }
		}
		if err := lines.Decode(&line); err == io.EOF {
			return got
		} else if err != nil {
			f.t.Fatal(err)
		}
		switch {
		case line.Rejected != nil:
			got.rejected = append(got.rejected, *line.Rejected)
		case line.Result != nil:
			got.result = line.Result
		case line.Error != nil:
			got.problem = line.Error.Detail
		case line.Waiting != "":
			got.waited = true
			if f.waits != nil {
				f.waits()
			}
		}
	}
}

// rows runs a query and returns its rows as text, cells separated by bars.
func (f *fixture) rows(query string, arguments ...any) []string {
	f.t.Helper()
	rows, err := f.db.Pool.Query(context.Background(), query, arguments...)
	if err != nil {
		f.t.Fatal(err)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			f.t.Fatal(err)
		}
		cells := make([]string, len(values))
		for i, v := range values {
			cells[i] = fmt.Sprint(v)
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	if err := rows.Err(); err != nil {
		f.t.Fatal(err)
	}
	return lines
}

func (f *fixture) exec(query string, arguments ...any) {
	f.t.Helper()
	if _, err := f.db.Pool.Exec(context.Background(), query, arguments...); err != nil {
		f.t.Fatal(err)
	}
}

// versions are the physical versions of all rows about people: a row that was written anew has another one.
func (f *fixture) versions() []string {
	f.t.Helper()
	var all []string
	for _, table := range []string{"contact", "identifier", "identifier_link", "consent", "refusal", "event", "event_key"} {
		all = append(all, f.rows("select '"+table+"', ctid::text, xmin::text, xmax::text from "+table+" order by 2")...)
	}
	return all
}

// people shows contacts by their external ids, with what is asked for of each.
func (f *fixture) people(columns string) []string {
	f.t.Helper()
	return f.rows(`select string_agg(i.value, '+' order by i.value), ` + columns + ` from contact c
		join identifier_link l on l.contact_id = c.id join identifier i on i.id = l.identifier_id and i.type like 'external:%'
		group by c.id order by 1`)
}

// logBook keeps what the server logged.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBook) write(_, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.WriteString(line + "\n")
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// cutConnections ends the server's connections to the database, as a restart of PostgreSQL would.
func (f *fixture) cutConnections() {
	f.t.Helper()
	f.asAdmin("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name = 'tertulia-server'", f.db.Pool.Config().ConnConfig.Database)
}

func (f *fixture) asAdmin(statement string, arguments ...any) {
	f.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, storetest.AdminURL(f.t))
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement, arguments...); err != nil {
		f.t.Fatal(err)
	}
}
