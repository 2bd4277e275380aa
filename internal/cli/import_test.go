package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/server"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// shop is a tenant with a server that runs, and a cluster whose Secret leads to it.
type shop struct {
	t          *testing.T
	db         *store.DB
	dir        string // of files
	base       string
	token      string
	kubeconfig string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, db: storetest.New(t), dir: t.TempDir(), token: store.NewToken()}
	ctx := context.Background()
	_, err := s.db.SaveTenant(ctx, store.Tenant{ID: "velo", Namespace: "velo", DisplayName: "Velo", TimeZone: "UTC", Locales: []string{"es"}})
	if err == nil {
		_, _, err = s.db.EnsureAttributes(ctx, []crm.Attribute{{Name: "first_name", Type: crm.String}})
	}
	if err == nil {
		_, err = s.db.SaveEventType(ctx, store.EventType{EventType: crm.EventType{Name: "purchase", Properties: []crm.Property{{Name: "amount", Type: crm.Decimal}}}})
	}
	if err == nil {
		_, err = s.db.EnsureAdminToken(ctx, store.HashToken(s.token))
	}
	tenants := t.TempDir()
	if err == nil {
		err = credentials.Write(tenants, credentials.Tenant{ID: "velo", DatabaseURL: storetest.URL(t, s.db)})
	}
	if err != nil {
		t.Fatal(err)
	}
	s.base = serveTenants(t, tenants) + "/t/velo"
	s.kubeconfig = s.cluster()
	return s
}

func serveTenants(t *testing.T, tenants string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.New(server.Options{Roots: []string{tenants}}).Run(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server stopped with %v", err)
		}
	})
	return "http://" + listener.Addr().String()
}

// cluster answers for the one Secret that the verbs read, and writes a kubeconfig that leads to it.
func (s *shop) cluster() string {
	s.t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/api/v1/namespaces/velo/secrets/tertulia-admin" {
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: metav1.StatusReasonNotFound, Code: 404})
			return
		}
		_ = json.NewEncoder(w).Encode(corev1.Secret{
			TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}, Data: map[string][]byte{"token": []byte(s.token), "server": []byte(s.base)},
		})
	}))
	s.t.Cleanup(api.Close)
	return s.file("kubeconfig", fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "here",
		"clusters": [{"name": "c", "cluster": {"server": %q}}], "users": [{"name": "u"}],
		"contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "velo"}}]}`, api.URL))
}

func (s *shop) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *shop) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// run runs the program in this process.
func (s *shop) run(arguments ...string) (stdout, stderr string, err error) {
	s.t.Helper()
	command := NewCommand()
	var out, errs bytes.Buffer
	command.SetOut(&out)
	command.SetErr(&errs)
	command.SetArgs(arguments)
	err = command.ExecuteContext(context.Background())
	return out.String(), errs.String(), err
}

func (s *shop) importContacts(file string) (contactsSummary, error) {
	s.t.Helper()
	var summary contactsSummary
	out, _, err := s.run("import", "contacts", file, "--namespace", "velo", "--kubeconfig", s.kubeconfig, "--source", "shop", "--output", "json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &summary)
	}
	summary.Seconds, summary.Bytes = 0, 0
	return summary, err
}

func TestImportContacts(t *testing.T) {
	s := newShop(t)
	file := s.file("people.csv", "external_id,email,first_name\nC1,ana@example.com,Ana\nC2,nonsense,\"Bea, \"\"B\"\"\"\nC3,,\n")
	rejects := filepath.Join(s.dir, "people.rejected.csv")
	got, err := s.importContacts(file)
	want := contactsSummary{contactCounts: contactCounts{Rows: 3, Created: 2, Rejected: 1}, Changed: true, RejectedFile: rejects}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(contactsSummary{})); err != nil || diff != "" {
		t.Fatalf("error %v, -want +got:\n%s", err, diff)
	}
	wantFile := "line,reason,external_id,email,first_name\n3,email: is no e-mail address: it must look like ana@example.com,C2,nonsense,\"Bea, \"\"B\"\"\"\n"
	if diff := cmp.Diff(wantFile, s.read("people.rejected.csv")); diff != "" {
		t.Errorf("the rejected rows: -want +got:\n%s", diff)
	}

	mended := s.file("people.rejected.csv", strings.Replace(wantFile, "nonsense", "bea@example.com", 1))
	if got, err := s.importContacts(mended); err != nil || got.Created != 1 || got.Rejected != 0 {
		t.Errorf("the mended rows: %+v, %v", got, err)
	}
	again, err := s.importContacts(s.file("people.csv", strings.Replace(s.read("people.csv"), "nonsense", "bea@example.com", 1)))
	if diff := cmp.Diff(contactsSummary{contactCounts: contactCounts{Rows: 3, Unchanged: 3}}, again, cmp.AllowUnexported(contactsSummary{})); err != nil || diff != "" {
		t.Errorf("again: error %v, -want +got:\n%s", err, diff)
	}
	if !strings.Contains(s.read("people.rejected.csv"), "bea@example.com") {
		t.Error("what somebody mended is gone")
	}
	out, _, err := s.run("import", "contacts", file, "-n", "velo", "--kubeconfig", s.kubeconfig, "--source", "shop")
	if err != nil || !strings.Contains(out, "0 created, 0 updated, 3 unchanged, 0 rejected.\nNothing changed") {
		t.Errorf("as text: %s, %v", out, err)
	}
}

func TestImportContactsSaysWhatIsWrong(t *testing.T) {
	s := newShop(t)
	people := s.file("people.csv", "external_id,emial\nC1,a@example.com\n")
	for name, c := range map[string]struct {
		arguments []string
		want      []string
	}{
		"a wrong header":          {[]string{people, "-n", "velo", "--kubeconfig", s.kubeconfig, "--source", "shop"}, []string{`column 2 "emial": unknown column: did you mean "email"?`, "Nothing was imported"}},
		"a namespace without one": {[]string{people, "-n", "other", "--kubeconfig", s.kubeconfig, "--source", "shop"}, []string{`namespace "other" has no Secret "tertulia-admin"`, "is it Ready?"}},
		"no file":                 {[]string{filepath.Join(s.dir, "absent.csv"), "--server", s.base, "--token", s.token, "--source", "shop"}, []string{"absent.csv"}},
		"a directory":             {[]string{s.dir, "--server", s.base, "--token", s.token, "--source", "shop"}, []string{"is a directory"}},
		"no source":               {[]string{people, "--server", s.base, "--token", s.token}, []string{`"source"`}},
		"a bad source":            {[]string{people, "--server", s.base, "--token", s.token, "--source", "The Shop"}, []string{"lower-case letters"}},
		"a bad token":             {[]string{people, "--server", s.base, "--token", "ttl_x", "--source", "shop"}, []string{"unknown, expired or revoked"}},
		"no server":               {[]string{people, "--server", "http://127.0.0.1:1/t/velo", "--token", s.token, "--source", "shop"}, []string{"reach the server"}},
		"no URL":                  {[]string{people, "--server", "velo", "--token", s.token, "--source", "shop"}, []string{"must look like https://"}},
		"another tenant":          {[]string{people, "--server", s.base + "-other", "--token", s.token, "--source", "shop"}, []string{"No such tenant"}},
		"a form of output":        {[]string{people, "--source", "shop", "-o", "yaml"}, []string{"--output"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := s.run(append([]string{"import", "contacts"}, c.arguments...)...)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
			if err != nil && strings.Contains(err.Error(), s.token) {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
}

func TestImportEvents(t *testing.T) {
	s := newShop(t)
	var text strings.Builder
	for i := range 2500 { // three batches
		fmt.Fprintf(&text, `{"id": "e%d", "name": "purchase", "occurred_at": "2026-11-21T10:00:00Z", "contact": {"external_id": "C%d"}, "properties": {"amount": %d.50}}`+"\n", i, i%7, i)
	}
	text.WriteString("\n{\"id\": 7}\n" + `{"id": "x", "name": "purchse", "occurred_at": "2026-11-21T10:00:00Z", "contact": {"external_id": "C1"}}` + "\n")
	text.WriteString(`{"id": "y", "title": "purchase"}` + "\nnot json\n" + strings.Repeat("x", 1<<20) + "\n")
	text.WriteString(`{"id": "last", "source": "web", "name": "purchase", "occurred_at": "2026-11-21T10:00:00Z", "contact": {"email": "a@example.com"}}`)
	file := s.file("events.ndjson", text.String())
	run := func() (summary eventsSummary) {
		t.Helper()
		out, _, err := s.run("import", "events", file, "--namespace", "velo", "--kubeconfig", s.kubeconfig, "--source", "shop", "-o", "json")
		if err == nil {
			err = json.Unmarshal([]byte(out), &summary)
		}
		if err != nil {
			t.Fatal(err)
		}
		summary.Seconds = 0
		return summary
	}
	rejects := filepath.Join(s.dir, "events.rejected.ndjson")
	if diff := cmp.Diff(eventsSummary{Events: 2506, Accepted: 2501, Rejected: 5, Changed: true, RejectedFile: rejects}, run()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(eventsSummary{Events: 2506, Duplicate: 2501, Rejected: 5, RejectedFile: rejects}, run()); diff != "" {
		t.Errorf("again: -want +got:\n%s", diff)
	}
	reasons := map[int]string{}
	for line := range strings.Lines(s.read("events.rejected.ndjson")) {
		var row struct {
			Line   int
			Reason string
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		reasons[row.Line] = row.Reason
	}
	want := map[int]string{
		2502: "is no event: cannot unmarshal number into Go struct field EventItem.id of type string",
		2503: `name: there is no EventType "purchse": did you mean "purchase"?`,
		2504: `is no event: unknown field "title"`,
		2505: "is no event: invalid character 'o' in literal null (expecting 'u')",
		2506: "the line is longer than 256 KiB",
	}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Errorf("the reasons: -want +got:\n%s", diff)
	}
}

func TestTokens(t *testing.T) {
	s := newShop(t)
	access := []string{"--namespace", "velo", "--kubeconfig", s.kubeconfig}
	token, note, err := s.run(append([]string{"token", "create", "--name", "shop", "--scope", "contacts:write,events:write", "--expires", "90d"}, access...)...)
	if err != nil || !strings.HasPrefix(token, "ttl_") || strings.Contains(note, strings.TrimSpace(token)) {
		t.Fatalf("%s, %s, %v", token, note, err)
	}
	list, _, err := s.run(append([]string{"token", "list"}, access...)...)
	if err != nil || !strings.Contains(list, "shop") || !strings.Contains(list, "contacts:write,events:write") || !strings.Contains(list, "until 2") {
		t.Errorf("%s, %v", list, err)
	}
	file := s.file("people.csv", "external_id\nC1\n")
	if _, _, err := s.run("import", "contacts", file, "--source", "shop", "--server", s.base, "--token", strings.TrimSpace(token)); err != nil {
		t.Errorf("the token does not work: %v", err)
	}
	if _, _, err := s.run("token", "list", "--server", s.base, "--token", strings.TrimSpace(token)); err == nil || !strings.Contains(err.Error(), "lacks the scope admin") {
		t.Errorf("beyond its scopes: %v", err)
	}
	if _, _, err := s.run(append([]string{"token", "revoke", "--name", "shop"}, access...)...); err != nil {
		t.Error(err)
	}
	if _, _, err := s.run("import", "contacts", file, "--source", "shop", "--server", s.base, "--token", strings.TrimSpace(token)); err == nil {
		t.Error("a revoked token works")
	}
	for _, expires := range []string{"0d", "soon", "-3h", "3w"} {
		if _, _, err := s.run(append([]string{"token", "create", "--name", "x", "--scope", "admin", "--expires", expires}, access...)...); err == nil || !strings.Contains(err.Error(), "--expires") {
			t.Errorf("--expires %s: %v", expires, err)
		}
	}
}
