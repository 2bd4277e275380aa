//go:build interop

package real

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/local/ports"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
)

// atNetwork is a whole network of the AT Protocol: PLC directory, PDS, AppView and moderation, as Bluesky runs them, and a stream.
type atNetwork struct {
	t       *testing.T
	Service string `json:"service"`
	AppView string `json:"appView"`
	Stream  string `json:"stream"`
}

// startNetwork starts it, and ends it with the test.
func startNetwork(t *testing.T) *atNetwork {
	t.Helper()
	dir := os.Getenv("TERTULIA_INTEROP_NETWORK")
	if dir == "" {
		t.Fatal("TERTULIA_INTEROP_NETWORK names no folder: make interop runs these tests")
	}
	data, err := os.MkdirTemp("", "tertulia-interop-") // PostgreSQL's user cannot enter the test's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Start(t.Context(), postgres.Options{Dir: filepath.Join(data, "postgres")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Stop(context.Background()) })
	command := exec.CommandContext(t.Context(), "node", "network.js")
	command.Dir = dir
	command.Env = append(os.Environ(), "REDIS_HOST="+startRedis(t, data), "DB_POSTGRES_URL="+db.URL("postgres"), "LOG_ENABLED=false")
	n := &atNetwork{t: t}
	said := &bytes.Buffer{}
	command.Stderr = said
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("the network said:\n%s", said)
		}
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, n) != nil {
		t.Fatalf("the network does not start: %v\n%s", err, said)
	}
	go io.Copy(io.Discard, stdout) //nolint:errcheck // until it ends
	return n
}

func startRedis(t *testing.T, dir string) (address string) {
	t.Helper()
	free, err := ports.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	address = fmt.Sprintf("127.0.0.1:%d", free[0])
	command := exec.CommandContext(t.Context(), "redis-server", "--bind", "127.0.0.1", "--port", fmt.Sprint(free[0]), "--save", "", "--dir", dir)
	startServer(t, command, address)
	return address
}

// startServer starts a program that ends with the test, and waits until it takes connections.
func startServer(t *testing.T, command *exec.Cmd, address string) {
	t.Helper()
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out := &bytes.Buffer{}
	command.Stdout, command.Stderr = out, out
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGTERM) }
	command.WaitDelay = 5 * time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
		_ = command.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(command.Path), out)
		}
	})
	eventually(t, filepath.Base(command.Path), func() {}, func() bool {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// person is somebody with an account there.
type person struct {
	n           *atNetwork
	DID, Handle string
	AccessJWT   string
}

// call makes a call, as a person where there is one. The answer is read into answer, unless that is nil.
func (n *atNetwork) call(as *person, method, name, query string, body, answer any) {
	n.t.Helper()
	data, contentType := io.Reader(nil), "application/json"
	switch b := body.(type) {
	case nil:
	case []byte:
		data, contentType = bytes.NewReader(b), "image/png"
	default:
		text, err := json.Marshal(b)
		if err != nil {
			n.t.Fatal(err)
		}
		data = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(n.t.Context(), method, n.Service+"/xrpc/"+name+query, data)
	if err != nil {
		n.t.Fatal(err)
	}
	if data != nil {
		r.Header.Set("Content-Type", contentType)
	}
	switch {
	case as != nil:
		r.Header.Set("Authorization", "Bearer "+as.AccessJWT)
	case strings.HasPrefix(name, "com.atproto.admin."):
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("admin:admin-pass")))
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // read
	said, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		n.t.Fatalf("%s: %d %s %v", name, response.StatusCode, said, err)
	}
	if answer != nil {
		if err := json.Unmarshal(said, answer); err != nil {
			n.t.Fatal(err)
		}
	}
}

// join makes an account, with a profile.
func (n *atNetwork) join(name string) *person {
	n.t.Helper()
	p := &person{n: n}
	n.call(nil, http.MethodPost, "com.atproto.server.createAccount", "", map[string]string{
		"handle": name + ".test", "email": name + "@example.com", "password": "password-of-" + name,
	}, p)
	n.call(p, http.MethodPost, "com.atproto.repo.putRecord", "", map[string]any{
		"repo": p.DID, "collection": "app.bsky.actor.profile", "rkey": "self",
		"record": map[string]any{"$type": "app.bsky.actor.profile", "displayName": strings.ToUpper(name[:1]) + name[1:]},
	}, nil)
	return p
}

// written is a record that was written.
type written struct{ URI, CID string }

func (w written) reference() map[string]any { return map[string]any{"uri": w.URI, "cid": w.CID} }

// post writes a post.
func (p *person) post(record map[string]any) (w written) {
	p.n.t.Helper()
	whole := map[string]any{"$type": "app.bsky.feed.post", "createdAt": time.Now().UTC().Format(time.RFC3339Nano), "langs": []string{"es"}}
	for name, value := range record {
		whole[name] = value
	}
	p.n.call(p, http.MethodPost, "com.atproto.repo.createRecord", "", map[string]any{"repo": p.DID, "collection": "app.bsky.feed.post", "record": whole}, &w)
	return w
}

// awaitShown waits until the AppView shows a post. Who answers sooner is told of to nobody: an answer is a notification only where what it
// answers is known.
func (p *person) awaitShown(w written) {
	p.n.t.Helper()
	eventually(p.n.t, "the AppView to show a post", func() {}, func() bool {
		var answer struct{ Posts []written }
		p.n.call(p, http.MethodGet, "app.bsky.feed.getPosts", "?uris="+url.QueryEscape(w.URI), nil, &answer)
		return len(answer.Posts) == 1
	})
}

// edit puts another record in the place of a post.
func (p *person) edit(old written, record map[string]any) (w written) {
	p.n.t.Helper()
	whole := map[string]any{"$type": "app.bsky.feed.post", "createdAt": time.Now().UTC().Format(time.RFC3339Nano)}
	for name, value := range record {
		whole[name] = value
	}
	p.n.call(p, http.MethodPost, "com.atproto.repo.putRecord", "", map[string]any{
		"repo": p.DID, "collection": "app.bsky.feed.post", "rkey": old.key(), "record": whole,
	}, &w)
	return w
}

func (w written) key() string { return w.URI[strings.LastIndexByte(w.URI, '/')+1:] }

func (p *person) remove(w written) {
	p.n.t.Helper()
	p.n.call(p, http.MethodPost, "com.atproto.repo.deleteRecord", "", map[string]any{"repo": p.DID, "collection": "app.bsky.feed.post", "rkey": w.key()}, nil)
}

// appPassword makes one.
func (p *person) appPassword(name string) string {
	p.n.t.Helper()
	var answer struct{ Password string }
	p.n.call(p, http.MethodPost, "com.atproto.server.createAppPassword", "", map[string]string{"name": name}, &answer)
	return answer.Password
}
