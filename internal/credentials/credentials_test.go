package credentials_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tertulia-crm/tertulia/internal/credentials"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	root := t.TempDir()
	first := credentials.Tenant{
		ID: "velo", DatabaseURL: "postgres://runtime:secret@127.0.0.1/velo",
		Channels: map[string]credentials.Channel{
			"newsletter":  {Username: "u", Password: "p"},
			"with.a.dot":  {Username: "u2", Password: "p2"},
			"transaction": {Username: "u3", Password: ""},
			"hook":        {SigningKey: "new\nold"},
			"everything": {
				Username: "u4", Password: "p4", DKIMPrivateKey: "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----",
				SigningKey: "s", InboxUsername: "i", InboxPassword: "ip", HookKey: "h",
			},
		},
	}
	if err := credentials.Write(root, first); err != nil {
		t.Fatal(err)
	}
	got, err := credentials.Read(filepath.Join(root, "velo"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, got, cmpopts.IgnoreFields(credentials.Tenant{}, "Digest")); diff != "" {
		t.Errorf("-written +read:\n%s", diff)
	}

	second := first
	second.Channels = map[string]credentials.Channel{"newsletter": {Username: "u", Password: "rotated"}}
	if err := credentials.Write(root, second); err != nil {
		t.Fatal(err)
	}
	rotated, err := credentials.Read(filepath.Join(root, "velo"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(second.Channels, rotated.Channels); diff != "" {
		t.Errorf("a channel that is gone must be gone: -written +read:\n%s", diff)
	}
	if rotated.Digest == got.Digest {
		t.Error("the digest did not change with a rotated password")
	}
}

func TestFilesAreForTheOwnerOnly(t *testing.T) {
	root := t.TempDir()
	if err := credentials.Write(root, credentials.Tenant{ID: "velo", DatabaseURL: "postgres://x"}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{"velo": 0o700, "velo/database-url": 0o600} {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

// TestASecretIsReadAsItsMountIs compares the digest that the operator takes of a Secret with that which a process takes of
// the directory where the Secret is mounted.
func TestASecretIsReadAsItsMountIs(t *testing.T) {
	want := velo("postgres://one")
	want.Channels = map[string]credentials.Channel{"a.b": {Username: "u", Password: "ends with a line\n"}}
	want.MetricsTokenSHA256 = "abc"
	root := t.TempDir()
	if err := credentials.Write(root, want); err != nil {
		t.Fatal(err)
	}
	mounted, err := credentials.Read(filepath.Join(root, "velo"))
	if err != nil {
		t.Fatal(err)
	}
	secret := map[string][]byte{}
	for name, value := range want.Files() {
		secret[name] = []byte(value)
	}
	parsed, err := credentials.Parse(secret)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(mounted, parsed); diff != "" {
		t.Errorf("-mounted +Secret:\n%s", diff)
	}
	if parsed.Channels["a.b"].Password != "ends with a line" || parsed.Digest == "" {
		t.Errorf("got %+v", parsed)
	}
	delete(secret, "database-url")
	if _, err := credentials.Parse(secret); !errors.Is(err, credentials.ErrIncomplete) {
		t.Errorf("without a database: got %v, want ErrIncomplete", err)
	}
}

func TestRefused(t *testing.T) {
	root := t.TempDir()
	if _, err := credentials.Read(root); !errors.Is(err, credentials.ErrIncomplete) {
		t.Errorf("an empty directory: got %v, want ErrIncomplete", err)
	}
	for _, id := range []string{"", "..", "a/b", "../x"} {
		if err := credentials.Write(root, credentials.Tenant{ID: id, DatabaseURL: "x"}); err == nil {
			t.Errorf("writing a tenant with id %q was not refused", id)
		}
		if err := credentials.Remove(root, id); err == nil {
			t.Errorf("removing a tenant with id %q was not refused", id)
		}
	}
}

func TestList(t *testing.T) {
	root := t.TempDir()
	for _, id := range []string{"b", "a"} {
		if err := credentials.Write(root, credentials.Tenant{ID: id, DatabaseURL: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := credentials.List(root)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{filepath.Join(root, "a"), filepath.Join(root, "b")}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if none, err := credentials.List(filepath.Join(root, "absent")); err != nil || none != nil {
		t.Errorf("a root that does not exist: got %v, %v", none, err)
	}
}

// Every field of a channel has a key, and each key a field of its own: a credential that has none would not arrive.
func TestEveryCredentialHasAKey(t *testing.T) {
	var c credentials.Channel
	for _, key := range credentials.Keys {
		c.Set(key, "value of "+string(key))
	}
	fields := reflect.ValueOf(c)
	if fields.NumField() != len(credentials.Keys) {
		t.Errorf("%d fields, %d keys", fields.NumField(), len(credentials.Keys))
	}
	for i := range fields.NumField() {
		if fields.Field(i).String() == "" {
			t.Errorf("%s has no key", fields.Type().Field(i).Name)
		}
	}
	for _, key := range credentials.Keys {
		if got := c.Get(key); got != "value of "+string(key) {
			t.Errorf("%s reads %q", key, got)
		}
	}
	files := credentials.Tenant{ID: "velo", DatabaseURL: "x", Channels: map[string]credentials.Channel{"news": c}}.Files()
	if len(files) != 2+len(credentials.Keys) {
		t.Errorf("files: %v", files)
	}
	c.Set("of-tomorrow", "x")
	if got := c.Get("of-tomorrow"); got != "" {
		t.Errorf("a key that nobody knows: %q", got)
	}
}
