package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tertulia-crm/tertulia/hack/people/invent"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// The tenant that the benchmarks import into.
const (
	tenantID   = "bench"
	adminToken = "benchmarks-only"
)

// importColumns are the eight columns of the imported file: identifiers, attributes and a consent.
var importColumns = []string{"external_id", "email", "first_name", "last_name", "city", "plan", "lifetime_value", "consent:newsletter"}

// importAttributes are the typed columns among them.
var importAttributes = []crm.Attribute{
	{Name: "first_name", Type: crm.String, Personal: true},
	{Name: "last_name", Type: crm.String, Personal: true},
	{Name: "city", Type: crm.String},
	{Name: "plan", Type: crm.String, Enum: []string{"free", "club", "pro"}, Indexed: true},
	{Name: "lifetime_value", Type: crm.Decimal},
}

// measureImport sends a CSV file of contacts to a server of its own, as the command line does, and compares it with a
// raw COPY of the rows that came of it.
func measureImport(ctx context.Context, s Settings) (rows []Row, err error) {
	at, err := s.scratch(ctx, "import-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, at.remove(ctx)) }()
	file, tenants := filepath.Join(at.dir, "contacts.csv"), filepath.Join(at.dir, "tenants")
	if err := writeContacts(file, s.Rows); err != nil {
		return nil, err
	}
	into, err := newTenant(ctx, at.server, "imported")
	if err != nil {
		return nil, err
	}
	defer into.Close()
	empty, err := newTenant(ctx, at.server, "copied")
	if err != nil {
		return nil, err
	}
	defer empty.Close()
	if err := credentials.Write(tenants, credentials.Tenant{ID: tenantID, DatabaseURL: at.server.URL("imported")}); err != nil {
		return nil, err
	}

	took, used, err := importFile(ctx, s, into, tenants, file)
	if err != nil {
		return nil, err
	}
	if err := settle(ctx, empty); err != nil {
		return nil, err
	}
	bound, err := rawCopy(ctx, into, empty, at.dir)
	if err != nil {
		return nil, err
	}
	rows = append(rows, importRow(s, "import/contacts", took, bound, used))
	rows[0].Note += fmt.Sprintf("; bound: COPY of the same rows into %v with their indexes in %.1f s; CPU and memory of the server process",
		peopleTables, bound.Seconds())

	followed, err := newTenant(ctx, at.server, "followed")
	if err != nil {
		return nil, err
	}
	defer followed.Close()
	if err := followImport(ctx, followed); err != nil {
		return nil, err
	}
	if err := credentials.Write(tenants, credentials.Tenant{ID: tenantID, DatabaseURL: at.server.URL("followed")}); err != nil {
		return nil, err
	}
	if took, used, err = importFile(ctx, s, followed, tenants, file); err != nil {
		return nil, err
	}
	rows = append(rows, importRow(s, "import/followed", took, bound, used))
	rows[1].Note += fmt.Sprintf(", while %d segments depend on what is imported; bound and CPU as above", len(importSegments))
	return rows, nil
}

func importRow(s Settings, name string, took, bound time.Duration, used usage) Row {
	row := Rate(name, "rows/s", perSecond(s.Rows, took), perSecond(s.Rows, bound))
	row.CPUSeconds = used.cpu.Seconds()
	row.PeakRSSMB = float64(used.peakRSS) / (1 << 20)
	row.Note = fmt.Sprintf("%d rows of %d columns by POST /v1/imports/contacts in %.1f s", s.Rows, len(importColumns), took.Seconds())
	return row
}

// importSegments depend on everything that the file holds.
var importSegments = []string{
	`contact.plan == "pro"`, `contact.plan == "club" && contact.lifetime_value > 100.0`, `contact.city == "Girona"`, `has(contact.first_name)`,
	`consented("newsletter")`, `consented("newsletter") && contact.plan != "free"`, `has_identifier("email")`, `!has_identifier("phone")`,
	`"vip" in contact.tags`, `contact.created_at > ago("30d")`,
}

// followImport brings segments into force, built as a worker builds them, so that the import has changes to note.
func followImport(ctx context.Context, db *store.DB) error {
	for i, match := range importSegments {
		name := fmt.Sprintf("segment-%d", i)
		compiled, err := expr.Compile(crm.Schema{Attributes: importAttributes}, match)
		if err != nil {
			return fmt.Errorf("compile %s: %w", match, err)
		}
		_, _, err = db.SaveSegment(ctx, store.SegmentDefinition{
			Name: name, Match: match, Digest: compiled.Digest, Predicate: compiled.Predicate, Arguments: compiled.Arguments,
			Dependencies: &compiled.Dependencies,
		})
		if err != nil {
			return err
		}
		if _, err := db.EvaluateSegment(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func perSecond(n int, d time.Duration) float64 { return float64(n) / d.Seconds() }

// newTenant makes a database with the attributes that the file has.
func newTenant(ctx context.Context, server *postgres.Server, name string) (*store.DB, error) {
	db, err := newDatabase(ctx, server, name)
	if err != nil {
		return nil, err
	}
	if err := prepareTenant(ctx, db); err != nil {
		db.Close()
		return nil, fmt.Errorf("prepare database %s: %w", name, err)
	}
	return db, nil
}

func prepareTenant(ctx context.Context, db *store.DB) error {
	tenant := store.Tenant{ID: tenantID, Namespace: tenantID, DisplayName: "Benchmarks", TimeZone: "UTC", Locales: []string{"en"}}
	if _, err := db.SaveTenant(ctx, tenant); err != nil {
		return err
	}
	if _, _, err := db.EnsureAttributes(ctx, importAttributes); err != nil {
		return err
	}
	_, err := db.EnsureAdminToken(ctx, store.HashToken(adminToken))
	return err
}

// writeContacts writes a file of invented people with the columns of the benchmark.
func writeContacts(path string, n int) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make the file to import: %w", err)
	}
	out := csv.NewWriter(file)
	err = out.Write(importColumns)
	population := invent.New(invent.Options{Contacts: n, Seed: 1, Until: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)})
	for i := range population.Contacts {
		c := &population.Contacts[i]
		value := strconv.FormatFloat(float64(c.SpentCents)/100, 'f', 2, 64)
		err = errors.Join(err, out.Write([]string{c.ExternalID, c.Email, c.FirstName, c.LastName, c.City, c.Plan, value, c.Newsletter}))
	}
	out.Flush()
	if err := errors.Join(err, out.Error(), file.Close()); err != nil {
		return fmt.Errorf("write the file to import: %w", err)
	}
	return nil
}

// importFile starts a server, imports the file over HTTP and stops the server. The time is that of the request.
func importFile(ctx context.Context, s Settings, into *store.DB, tenants, path string) (time.Duration, usage, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return 0, usage{}, err
	}
	process, err := startChild(ctx, s.Log, s.Program, "server", "--listen", address, "--tenants", tenants)
	if err != nil {
		return 0, usage{}, err
	}
	base := "http://" + address + "/t/" + tenantID
	if err := awaitServer(ctx, base, process); err != nil {
		process.kill()
		return 0, usage{}, err
	}
	if err := settle(ctx, into); err != nil {
		process.kill()
		return 0, usage{}, err
	}
	started := time.Now()
	err = postImport(ctx, base, path, s.Rows)
	took := time.Since(started)
	if err != nil {
		process.kill()
		return 0, usage{}, fmt.Errorf("import: %w", err)
	}
	stopping, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	used, err := process.stop(stopping)
	return took, used, err
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// awaitServer waits until the tenant's server answers.
func awaitServer(ctx context.Context, base string, process *child) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/openapi.json", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-process.exited:
			return errors.New("the server ended while it was starting: --verbose shows what it said")
		case <-ctx.Done():
			return fmt.Errorf("wait for the server: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// importLine is a line of the import's answer; of its members one is set.
type importLine struct {
	Rejected *struct {
		Line   int    `json:"line"`
		Reason string `json:"reason"`
	} `json:"rejected"`
	Result *struct {
		Created int `json:"created"`
	} `json:"result"`
	Error json.RawMessage `json:"error"`
}

// postImport streams the file in and reads the answer, which must say that every row made a contact.
func postImport(ctx context.Context, base, path string, rows int) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/imports/contacts?source="+invent.Source, file)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Content-Type", "text/csv")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered %s", response.Status)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var line importLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		switch {
		case line.Error != nil:
			return fmt.Errorf("the server gave up: %s", line.Error)
		case line.Rejected != nil:
			return fmt.Errorf("line %d was rejected: %s", line.Rejected.Line, line.Rejected.Reason)
		case line.Result != nil && line.Result.Created != rows:
			return fmt.Errorf("%d contacts were created of %d rows", line.Result.Created, rows)
		case line.Result != nil:
			return nil
		}
	}
	return errors.Join(errors.New("the answer ended without a result"), lines.Err())
}
