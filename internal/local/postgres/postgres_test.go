package postgres

import (
	"context"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pods reach a server at an address of a bridge. Here another loopback address stands for it.
func TestClientsOfANetwork(t *testing.T) {
	server, err := Start(t.Context(), Options{Dir: filepath.Join(t.TempDir(), "data"), Address: "127.0.0.2", Clients: "127.0.0.2/32", Log: io.Discard})
	if err != nil {
		t.Fatal(err) // it also asks until it is let in itself
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	right, err := url.Parse(server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if right.Hostname() != "127.0.0.2" {
		t.Errorf("the URL leads to %s", right.Hostname())
	}
	wrong := *right
	wrong.User = url.UserPassword("postgres", "guess")
	elsewhere := *right
	elsewhere.Host = strings.Replace(right.Host, "127.0.0.2", "127.0.0.1", 1)
	for name, u := range map[string]url.URL{"a wrong password": wrong, "an address where it does not listen": elsewhere} {
		conn, err := pgx.Connect(t.Context(), u.String())
		if err == nil {
			_ = conn.Close(t.Context())
			t.Errorf("%s was let in", name)
		}
	}
}
