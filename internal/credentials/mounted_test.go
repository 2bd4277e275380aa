package credentials_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/credentials/credentialstest"
)

// Whoever reads while the kubelet replaces a Secret reads one of its revisions.
func TestARotationIsReadWhole(t *testing.T) {
	dir := t.TempDir()
	revision := func(n int) credentials.Tenant {
		return credentials.Tenant{
			ID: "velo", DatabaseURL: fmt.Sprintf("postgres://%d", n),
			Channels: map[string]credentials.Channel{"news": {Username: fmt.Sprintf("u%d", n), Password: fmt.Sprintf("p%d", n)}},
		}
	}
	mount := credentialstest.NewMount(t, dir)
	mount.Set(revision(0).Files())
	const rotations = 500
	ended := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				got, err := credentials.Read(dir)
				if err != nil {
					t.Errorf("a reader was told %v", err)
					return
				}
				var n int
				if _, err := fmt.Sscanf(got.DatabaseURL, "postgres://%d", &n); err != nil {
					t.Error(err)
				}
				if want := revision(n).Channels["news"]; got.Channels["news"] != want {
					t.Errorf("a mixture: %s with %+v", got.DatabaseURL, got.Channels["news"])
				}
				select {
				case <-ended:
					return
				default:
				}
			}
		})
	}
	for n := range rotations {
		mount.Set(revision(n + 1).Files())
	}
	close(ended)
	readers.Wait()
}

func TestAMountedSecretThatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	mount := credentialstest.NewMount(t, dir)
	mount.Set(nil) // as the kubelet mounts a Secret that is optional
	if _, err := credentials.Read(dir); err == nil {
		t.Error("an empty directory holds no tenant")
	}
	mount.Set(credentials.Tenant{ID: "velo", DatabaseURL: "postgres://x", Channels: map[string]credentials.Channel{"news": {Password: "p"}}}.Files())
	if got, err := credentials.Read(dir); err != nil || got.Channels["news"].Password != "p" {
		t.Errorf("%+v, %v", got, err)
	}
	mount.Set(credentials.Tenant{ID: "velo", DatabaseURL: "postgres://x"}.Files())
	if got, err := credentials.Read(dir); err != nil || len(got.Channels) != 0 {
		t.Errorf("a key that is gone is gone: %+v, %v", got, err)
	}
	if err := os.Remove(filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if _, err := credentials.Read(dir); err == nil {
		t.Error("a link that leads elsewhere is not followed")
	}
}
