package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestArchiveHoldsWhatItsDigestsName follows the references from the index to the layer, as a container engine does.
func TestArchiveHoldsWhatItsDigestsName(t *testing.T) {
	o := testOptions(t)
	if err := run(o); err != nil {
		t.Fatal(err)
	}
	files := readArchive(t, o.output)
	var index struct{ Manifests []descriptor }
	decode(t, files["index.json"], &index)
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	decode(t, named(t, files, index.Manifests[0]), &manifest)
	var config struct {
		Architecture, OS string
		Config           struct {
			User   string
			Labels map[string]string
		}
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	decode(t, named(t, files, manifest.Config), &config)
	if config.Config.User != user {
		t.Errorf("the image runs as %q, want %q", config.Config.User, user)
	}
	if config.OS != "linux" || config.Architecture != runtime.GOARCH {
		t.Errorf("the image is for %s/%s, and its binary for linux/%s", config.OS, config.Architecture, runtime.GOARCH)
	}
	for label, want := range map[string]string{"version": "v1", "revision": "0123abc", "licenses": "Apache-2.0"} {
		if got := config.Config.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s: got %q, want %q", label, got, want)
		}
	}
	if len(config.RootFS.DiffIDs) != len(manifest.Layers) {
		t.Errorf("%d layers, %d diff ids", len(manifest.Layers), len(config.RootFS.DiffIDs))
	}
	named(t, files, manifest.Layers[0])

	archive, sbom := read(t, o.output), read(t, sbomOf(o))
	if err := run(o); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(archive, read(t, o.output)) || !bytes.Equal(sbom, read(t, sbomOf(o))) {
		t.Error("the same binary makes another image")
	}
	if more := len(archive) - len(read(t, o.binary)); more > 1<<20 {
		t.Errorf("the image is %d bytes larger than its binary", more)
	}
}

// testOptions make an image of this test's own binary.
func testOptions(t *testing.T) options {
	t.Helper()
	dir := t.TempDir()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	roots := filepath.Join(dir, "roots")
	if err := os.WriteFile(roots, []byte("certificates"), 0o600); err != nil {
		t.Fatal(err)
	}
	return options{binary: binary, version: "v1", revision: "0123abc", output: filepath.Join(dir, "image.tar"), certificates: roots}
}

func sbomOf(o options) string { return strings.TrimSuffix(o.output, ".tar") + ".spdx.json" }

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestOnlyBinariesForLinuxMakeAnImage(t *testing.T) {
	o := testOptions(t)
	o.binary = o.certificates
	if err := run(o); err == nil || !strings.Contains(err.Error(), "built from") {
		t.Errorf("an image of a file that is no binary: got %v, want a refusal", err)
	}
}

// TestBillOfMaterials checks what a reader of SPDX relies on: that ids are unique and well formed, that each is related to
// something, and that the list is of this binary.
func TestBillOfMaterials(t *testing.T) {
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8", Main: debug.Module{Path: "github.com/tertulia-crm/tertulia", Version: "(devel)"},
		Deps: []*debug.Module{
			{Path: "example.com/Mixed/v2", Version: "v2.1.0"},
			{Path: "example.com/old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/new", Version: "v1.0.1+incompatible"}},
		},
	}
	text, err := billOfMaterials(info, description{version: "v1"}, "sha256:abcd")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var document spdxDocument
	if err := decoder.Decode(&document); err != nil {
		t.Fatal(err)
	}
	var purls []string
	ids := map[string]bool{document.SPDXID: true}
	for _, p := range document.Packages {
		if ids[p.SPDXID] || !regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`).MatchString(p.SPDXID) {
			t.Errorf("id %q is taken or not one", p.SPDXID)
		}
		ids[p.SPDXID] = true
		purls = append(purls, p.ExternalRefs[0].Locator)
	}
	related := map[string]bool{document.SPDXID: true}
	for _, r := range document.Relationships {
		if !ids[r.Element] || !ids[r.Related] {
			t.Errorf("%s %s %s names what is not there", r.Element, r.Type, r.Related)
		}
		related[r.Related] = true
	}
	if diff := cmp.Diff(ids, related); diff != "" {
		t.Errorf("packages that are related to nothing (-ids +related):\n%s", diff)
	}
	want := []string{
		"pkg:golang/github.com/tertulia-crm/tertulia@v1", "pkg:golang/stdlib@1.26.8", "pkg:golang/example.com/Mixed/v2@v2.1.0",
		"pkg:golang/example.com/new@v1.0.1+incompatible",
	}
	if diff := cmp.Diff(want, purls); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	if got := document.Packages[0].Checksums; len(got) != 1 || got[0] != (spdxChecksum{"SHA256", "abcd"}) {
		t.Errorf("the list is not tied to its binary: %v", got)
	}
}

func named(t *testing.T, files map[string][]byte, d descriptor) []byte {
	t.Helper()
	content, ok := files[blobPath(d.Digest)]
	if !ok {
		t.Fatalf("no blob %s", d.Digest)
	}
	if digest(content) != d.Digest || len(content) != d.Size {
		t.Fatalf("blob %s does not have the digest and size that name it", d.Digest)
	}
	return content
}

func decode(t *testing.T, content []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatal(err)
	}
}

func readArchive(t *testing.T, name string) map[string][]byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	files := map[string][]byte{}
	archive := tar.NewReader(f)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}
