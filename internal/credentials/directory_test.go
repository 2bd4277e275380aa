package credentials_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tertulia-crm/tertulia/internal/credentials"
)

func TestDirectoryChangesOnePartAndLeavesTheRest(t *testing.T) {
	d := &credentials.Directory{Root: t.TempDir()}
	login := &credentials.Channel{Username: "u", Password: "p"}
	if err := d.SaveLogin("velo", "news", login); !errors.Is(err, credentials.ErrIncomplete) {
		t.Errorf("a login before the database: got %v, want ErrIncomplete", err)
	}
	if err := d.SaveLogin("velo", "news", nil); err != nil {
		t.Errorf("taking away what was never given: %v", err)
	}
	steps := []error{
		d.SaveDatabase("velo", "postgres://one"), d.SaveLogin("velo", "news", login), d.SaveLogin("velo", "other", login),
		d.SaveDatabase("velo", "postgres://two"), d.SaveLogin("velo", "other", nil),
	}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	got, err := credentials.Read(filepath.Join(d.Root, "velo"))
	if err != nil {
		t.Fatal(err)
	}
	want := credentials.Tenant{ID: "velo", DatabaseURL: "postgres://two", Channels: map[string]credentials.Channel{"news": *login}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(credentials.Tenant{}, "Digest")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := d.Forget("velo"); err != nil {
		t.Fatal(err)
	}
	if left, err := credentials.List(d.Root); err != nil || len(left) != 0 {
		t.Errorf("left after Forget: %v, %v", left, err)
	}
}
