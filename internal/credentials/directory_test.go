package credentials_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tertulia-crm/tertulia/internal/credentials"
)

func velo(url string) credentials.Tenant {
	return credentials.Tenant{ID: "velo", Namespace: "velo-ns", PublicURL: "https://crm.velo.example", DatabaseURL: url}
}

func TestDirectoryOfAnotherNamespaceIsLeftAlone(t *testing.T) {
	d := &credentials.Directory{Root: t.TempDir()}
	mine := velo("postgres://one")
	mine.Channels = map[string]credentials.Channel{"news": {Username: "u", Password: "p"}}
	if err := d.SaveTenant(mine); err != nil {
		t.Fatal(err)
	}
	before, err := credentials.Read(filepath.Join(d.Root, "velo"))
	if err != nil {
		t.Fatal(err)
	}
	stranger := credentials.Tenant{ID: "velo", Namespace: "stranger", PublicURL: "https://stranger.example", DatabaseURL: "postgres://stranger"}
	for what, err := range map[string]error{"saving": d.SaveTenant(stranger), "checking": d.CheckTenant(stranger)} {
		var taken *credentials.TakenError
		if !errors.As(err, &taken) || taken.Namespace != "velo-ns" {
			t.Errorf("%s: got %v, want a TakenError that names velo-ns", what, err)
		}
	}
	if err := d.Forget("velo", "stranger"); err != nil {
		t.Errorf("a stranger ends: %v", err)
	}
	after, err := credentials.Read(filepath.Join(d.Root, "velo"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a stranger changed the directory: -before +after:\n%s", diff)
	}
	if err := errors.Join(d.Forget("velo", "velo-ns"), d.SaveTenant(stranger)); err != nil {
		t.Errorf("an id that its namespace has given up is free: %v", err)
	}
}

func TestDirectoryGivesAHostToOneTenant(t *testing.T) {
	d := &credentials.Directory{Root: t.TempDir()}
	if err := errors.Join(d.SaveTenant(velo("postgres://one")), d.SaveTenant(velo("postgres://two"))); err != nil {
		t.Fatal(err)
	}
	for publicURL, refused := range map[string]bool{
		"https://crm.velo.example": true, "http://CRM.velo.example": true,
		"https://other.example": false, "https://crm.velo.example/t/other": false,
	} {
		other := credentials.Tenant{ID: "other", Namespace: "other", PublicURL: publicURL, DatabaseURL: "postgres://other"}
		var taken *credentials.HostTakenError
		err := d.SaveTenant(other)
		if errors.As(err, &taken) != refused || !refused && err != nil || refused && taken.Namespace != "velo-ns" {
			t.Errorf("%s: got %v, refused: %t", publicURL, err, refused)
		}
	}
}

func TestDirectorySaysWhatWasSavedLast(t *testing.T) {
	d := &credentials.Directory{Root: t.TempDir()}
	first, second := velo("postgres://one"), velo("postgres://two")
	first.Channels = map[string]credentials.Channel{"news": {Username: "u", Password: "p"}, "other": {Username: "u", Password: "p"}}
	second.Channels = map[string]credentials.Channel{"news": {Username: "u", Password: "rotated"}}
	if err := errors.Join(d.SaveTenant(first), d.SaveTenant(second)); err != nil {
		t.Fatal(err)
	}
	got, err := credentials.Read(filepath.Join(d.Root, "velo"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(second, got, cmpopts.IgnoreFields(credentials.Tenant{}, "Digest")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := d.Forget("velo", "velo-ns"); err != nil {
		t.Fatal(err)
	}
	if left, err := credentials.List(d.Root); err != nil || len(left) != 0 {
		t.Errorf("left after Forget: %v, %v", left, err)
	}
}
