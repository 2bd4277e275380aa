package credentials_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/credentials"
)

// What is written of sources is what is read, whatever their names.
func TestSourcesAreReadAsTheyWereWritten(t *testing.T) {
	root := t.TempDir()
	said := credentials.Tenant{
		ID: "velo", DatabaseURL: "postgres://x", Channels: map[string]credentials.Channel{"blog": {Password: "of a channel"}},
		Sources: map[string]credentials.Source{
			"blog":             {"username": "u", "password": "of a source"},
			"mastodon.example": {"access-token": "t"}, // a name may have dots
			"care":             {"signing-key": "one\ntwo"},
		},
	}
	if err := credentials.Write(root, said); err != nil {
		t.Fatal(err)
	}
	got, err := credentials.Read(filepath.Join(root, "velo"))
	if err != nil {
		t.Fatal(err)
	}
	before := got.Digest
	got.Digest = ""
	if diff := cmp.Diff(said, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	said.Sources["care"]["signing-key"] = "two\nthree"
	delete(said.Sources, "blog")
	if err := credentials.Write(root, said); err != nil {
		t.Fatal(err)
	}
	if got, err = credentials.Read(filepath.Join(root, "velo")); err != nil || got.Digest == before {
		t.Errorf("the digest tells nothing of a rotation: %v", err)
	}
	if diff := cmp.Diff(said.Sources, got.Sources); diff != "" {
		t.Errorf("after a rotation: -want +got:\n%s", diff)
	}
}

func TestSourcesAreBounded(t *testing.T) {
	files := map[string]string{
		"tenant": "velo", "database-url": "x",
		"source.blog": "no key", "source..password": "no name", "source.blog.Pass_Word": "no key either",
		"source.blog." + strings.Repeat("k", credentials.MaxSourceKey+1): "a long key",
		"source.blog.token": strings.Repeat("v", credentials.MaxSourceKeyLength+1), "source.blog.empty": "",
	}
	for n := range credentials.MaxSourceKeys + 3 {
		files[fmt.Sprintf("source.many.key-%02d", n)] = "v"
	}
	tenant, err := credentials.Parse(files)
	if err != nil {
		t.Fatal(err)
	}
	if many := tenant.Sources["many"]; len(tenant.Sources) != 1 || len(many) != credentials.MaxSourceKeys || many["key-00"] == "" {
		t.Errorf("read %v", tenant.Sources)
	}
	tenant.Sources["many"]["one-more"] = "v"
	tenant.Sources["blog"] = credentials.Source{"Pass_Word": "v", "../up": "v", "password": "p"}
	again, err := credentials.Parse(tenant.Files())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(credentials.Source{"password": "p"}, again.Sources["blog"]); diff != "" || len(again.Sources["many"]) != credentials.MaxSourceKeys {
		t.Errorf("written: %s\n%v", diff, again.Sources)
	}
}
