//go:build interop

package real

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/local/ports"
)

// webServer is an nginx that serves a folder.
type webServer struct {
	t       *testing.T
	dir     string
	Address string
}

const webConfig = `
daemon off;
pid %[1]s/pid;
error_log stderr;
user %[3]s;
events {}
http {
  log_format told '$request_method $uri $status [$sent_http_content_encoding] [$http_user_agent] [$http_accept_encoding]';
  access_log %[1]s/access told;
  default_type application/octet-stream;
  types { application/rss+xml xml; }
  gzip on;
  gzip_types application/rss+xml;
  gzip_min_length 1;
  limit_req_zone $binary_remote_addr zone=few:1m rate=1r/m;
  limit_req_status 429;
  client_body_temp_path %[1]s/tmp-body;
  proxy_temp_path %[1]s/tmp-proxy;
  fastcgi_temp_path %[1]s/tmp-fastcgi;
  uwsgi_temp_path %[1]s/tmp-uwsgi;
  scgi_temp_path %[1]s/tmp-scgi;
  server {
    listen %[2]s;
    root %[1]s/www;
    location = /moved.xml { return 301 /feed.xml; }
    location = /elsewhere.xml { return 302 /feed.xml; }
    location = /gone.xml { return 410; }
    location = /round.xml { return 302 /round.xml; }
    location = /few.xml { limit_req zone=few; add_header Retry-After 60 always; alias %[1]s/www/feed.xml; }
  }
}
`

func startWebServer(t *testing.T) *webServer {
	t.Helper()
	dir, err := os.MkdirTemp("", "tertulia-nginx-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	free, err := ports.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &webServer{t: t, dir: dir, Address: fmt.Sprintf("127.0.0.1:%d", free[0])}
	if err := errors.Join(
		os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "www"), 0o755),
		os.WriteFile(filepath.Join(dir, "conf"), fmt.Appendf(nil, webConfig, dir, s.Address, me.Username), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx"
	}
	startServer(t, exec.CommandContext(t.Context(), program, "-p", dir, "-c", filepath.Join(dir, "conf")), s.Address)
	return s
}

// serve puts a feed there, of so many items, written then.
func (s *webServer) serve(items int, at time.Time) {
	s.t.Helper()
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel><title>Blog de Velo</title><link>https://velo.example/</link><description>d</description>`)
	for i := items; i > 0; i-- {
		fmt.Fprintf(&b, `<item><title>Ruta %[1]d</title><link>https://velo.example/%[1]d</link><guid isPermaLink="false">ruta-%[1]d</guid>`+
			`<pubDate>%[2]s</pubDate><description>&lt;p&gt;La ruta número %[1]d, con cariño&lt;/p&gt;</description></item>`, i, at.Add(-time.Duration(items-i)*time.Hour).Format(time.RFC1123Z))
	}
	b.WriteString(`</channel></rss>`)
	file := filepath.Join(s.dir, "www", "feed.xml")
	if err := errors.Join(os.WriteFile(file, []byte(b.String()), 0o644), os.Chtimes(file, at, at)); err != nil { //nolint:gosec // nginx reads it
		s.t.Fatal(err)
	}
}

// told gives what nginx wrote down of requests since it was asked last. It writes after it has answered.
func (s *webServer) told() []string {
	s.t.Helper()
	file := filepath.Join(s.dir, "access")
	var data []byte
	eventually(s.t, "nginx to write down a request", func() { data, _ = os.ReadFile(file) }, func() bool { return bytes.HasSuffix(data, []byte("\n")) })
	if err := os.Truncate(file, 0); err != nil {
		s.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

func TestFeed(t *testing.T) {
	s := startWebServer(t)
	report := report{"Feed", "nginx (Debian)"}
	read := func(t *testing.T, path string) *reader {
		t.Helper()
		return newReader(t, open(t, "Feed", options(t, map[string]any{"url": "http://" + s.Address + path, "webSub": false}, nil)), nil)
	}
	began := time.Now().Add(-48 * time.Hour).Truncate(time.Second)
	s.serve(3, began)
	r := read(t, "/feed.xml")
	report.holds(t, "a feed, compressed (gzip) and read", func(t *testing.T) {
		r.poll()
		if p, there := r.find("La ruta número 3, con cariño"); !there || p.Title != "Ruta 3" || !p.CreatedAt.Equal(began) {
			t.Errorf("the entry is %+v", p)
		}
		if got := s.told(); !strings.Contains(got[0], "GET /feed.xml 200 [gzip] ["+userAgent+"]") {
			t.Errorf("nginx wrote down %q", got)
		}
	})
	report.holds(t, "a conditional request: 304 where nothing changed", func(t *testing.T) {
		r.poll()
		if got := s.told(); !strings.Contains(got[0], "GET /feed.xml 304") {
			t.Errorf("nginx wrote down %q", got)
		}
	})
	report.holds(t, "what is new after a change, once", func(t *testing.T) {
		s.serve(4, began.Add(time.Hour))
		before := len(r.posts)
		r.poll()
		if _, there := r.find("La ruta número 4"); !there || len(r.posts) != before+1 {
			t.Errorf("%d entries", len(r.posts))
		}
	})
	report.holds(t, "redirects, for ever (301) and for now (302)", func(t *testing.T) {
		for _, path := range []string{"/moved.xml", "/elsewhere.xml"} {
			other := read(t, path)
			other.poll()
			if len(other.posts) != 4 {
				t.Errorf("%s: %d entries", path, len(other.posts))
			}
		}
	})
	verifyFeedTroubles(t, s, read)
}

func verifyFeedTroubles(t *testing.T, s *webServer, read func(*testing.T, string) *reader) {
	report := report{"Feed", "nginx (Debian)"}
	expect := func(t *testing.T, r *reader, want listen.Reason) *listen.Trouble {
		t.Helper()
		_, err := r.c.(listen.Poller).Poll(context.Background(), r.at)
		var trouble *listen.Trouble
		if !errors.As(err, &trouble) || trouble.Reason != want {
			t.Fatalf("it says: %v", err)
		}
		return trouble
	}
	report.holds(t, "a redirect in a circle, what is gone (410), nothing there (404)", func(t *testing.T) {
		_ = expect(t, read(t, "/round.xml"), listen.Unreachable)
		_ = expect(t, read(t, "/gone.xml"), listen.NotFound)
		_ = expect(t, read(t, "/none.xml"), listen.NotFound)
	})
	report.holds(t, "too many requests (limit_req): Throttled, with Retry-After", func(t *testing.T) {
		r := read(t, "/few.xml")
		r.poll()
		if trouble := expect(t, read(t, "/few.xml"), listen.Throttled); trouble.Wait != time.Minute {
			t.Errorf("the wait is %s", trouble.Wait)
		}
	})
}
