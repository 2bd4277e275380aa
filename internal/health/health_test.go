package health

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tertulia-crm/tertulia/internal/local/ports/portstest"
)

func ask(t *testing.T, url, authorization string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestEachAddressServesItsOwn(t *testing.T) {
	o := Options{
		Listen: portstest.Address(t), MetricsListen: portstest.Address(t), Gatherer: prometheus.NewRegistry(),
		Live: func() error { return nil }, Ready: func() error { return errors.New("waits for the database") },
	}
	e, err := Serve(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/metrics": 404, "/healthz": 404, "/": 404} {
		if got, body := ask(t, "http://"+o.Listen+path, ""); got != want {
			t.Errorf("health %s: status %d, want %d: %s", path, got, want, body)
		}
	}
	for path, want := range map[string]int{"/livez": 404, "/readyz": 404, "/metrics": 200} {
		if got, body := ask(t, "http://"+o.MetricsListen+path, ""); got != want {
			t.Errorf("metrics %s: status %d, want %d: %s", path, got, want, body)
		}
	}
	if _, body := ask(t, "http://"+o.Listen+"/readyz", ""); !strings.Contains(body, "waits for the database") {
		t.Errorf("a probe that fails should say why: %q", body)
	}
}

func TestAnAddressThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	o := Options{Listen: portstest.Address(t), MetricsListen: taken.Addr().String(), Gatherer: prometheus.NewRegistry()}
	if _, err := Serve(context.Background(), o); err == nil || !strings.Contains(err.Error(), "metrics") {
		t.Errorf("the error should name the listener: %v", err)
	}
	free, err := net.Listen("tcp", o.Listen)
	if err != nil {
		t.Fatalf("the other listener should have ended: %v", err)
	}
	_ = free.Close()
}

func TestMetricsWantAToken(t *testing.T) {
	hash := func(token string) string {
		sum := sha256.Sum256([]byte(token))
		return hex.EncodeToString(sum[:])
	}
	for name, c := range map[string]struct {
		hashes        []string
		err           error
		authorization string
		want          int
	}{
		"none is named":               {want: 200},
		"none is named, one is borne": {authorization: "Bearer any", want: 200},
		"none is borne":               {hashes: []string{hash("right")}, want: 401},
		"the right one":               {hashes: []string{hash("right")}, authorization: "Bearer right", want: 200},
		"the scheme in small letters": {hashes: []string{hash("right")}, authorization: "bearer right", want: 200},
		"the hash in capitals":        {hashes: []string{strings.ToUpper(hash("right"))}, authorization: "Bearer right", want: 200},
		"the second of two":           {hashes: []string{hash("left"), hash("right")}, authorization: "Bearer right", want: 200},
		"a tenant named one twice":    {hashes: []string{hash("right"), hash("right")}, authorization: "Bearer right", want: 200},
		"another one":                 {hashes: []string{hash("right")}, authorization: "Bearer wrong", want: 401},
		"the hash itself":             {hashes: []string{hash("right")}, authorization: "Bearer " + hash("right"), want: 401},
		"another scheme":              {hashes: []string{hash("right")}, authorization: "Basic right", want: 401},
		"an empty one":                {hashes: []string{hash("")}, authorization: "Bearer ", want: 401},
		"not known yet":               {err: errors.New("the tenant directory has not arrived"), authorization: "Bearer right", want: 503},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{MetricsListen: portstest.Address(t), Gatherer: prometheus.NewRegistry(), MetricsTokens: func() ([]string, error) { return c.hashes, c.err }}
			e, err := Serve(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			if got, body := ask(t, "http://"+o.MetricsListen+"/metrics", c.authorization); got != c.want {
				t.Errorf("status %d, want %d: %s", got, c.want, body)
			}
		})
	}
}

func TestWatch(t *testing.T) {
	w := &Watch{Slack: time.Second}
	began := time.Now()
	segments := w.Begin("velo", "segments", time.Minute)
	send := w.Begin("velo", "send", time.Hour)
	live := func(after time.Duration) string {
		if err := w.liveAt(began.Add(after)); err != nil {
			return err.Error()
		}
		return "alive"
	}
	steps := []struct {
		why   string
		do    func()
		after time.Duration
		want  string
	}{
		{"all have time", func() {}, 60 * time.Second, "alive"},
		{"one is late", func() {}, 70 * time.Second, `tenant "velo": the loop "segments" is stuck`},
		{"it goes on", func() { segments.Beat(2 * time.Minute) }, 70 * time.Second, "alive"},
		{"both are late", func() {}, 2 * time.Hour, `tenant "velo": the loop "segments" is stuck` + "\n" + `tenant "velo": the loop "send" is stuck`},
		{"one is over", segments.End, 2 * time.Hour, `tenant "velo": the loop "send" is stuck`},
		{"both are over", send.End, 2 * time.Hour, "alive"},
	}
	for _, s := range steps {
		s.do()
		if diff := cmp.Diff(s.want, live(s.after)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.why, diff)
		}
	}
	for i := range 20 {
		w.Begin("velo", string(rune('a'+i)), 0)
	}
	if got := live(time.Hour); strings.Count(got, "\n") != maxNamed || !strings.HasSuffix(got, "and 10 more") {
		t.Errorf("what is named should be bounded:\n%s", got)
	}
}
