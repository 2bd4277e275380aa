package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestArchiveHoldsWhatItsDigestsName follows the references from the index to the layer, as a container engine does.
func TestArchiveHoldsWhatItsDigestsName(t *testing.T) {
	dir := t.TempDir()
	binary, roots, output := filepath.Join(dir, "tertulia"), filepath.Join(dir, "roots"), filepath.Join(dir, "image.tar")
	for _, name := range []string{binary, roots} {
		if err := os.WriteFile(name, []byte("content of "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(binary, "v1", output, roots); err != nil {
		t.Fatal(err)
	}
	files := readArchive(t, output)
	var index struct{ Manifests []descriptor }
	decode(t, files["index.json"], &index)
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	decode(t, named(t, files, index.Manifests[0]), &manifest)
	var config struct {
		Config struct{ User string }
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	decode(t, named(t, files, manifest.Config), &config)
	if config.Config.User != user {
		t.Errorf("the image runs as %q, want %q", config.Config.User, user)
	}
	if len(config.RootFS.DiffIDs) != len(manifest.Layers) {
		t.Errorf("%d layers, %d diff ids", len(manifest.Layers), len(config.RootFS.DiffIDs))
	}
	named(t, files, manifest.Layers[0])

	again := filepath.Join(dir, "again.tar")
	if err := run(binary, "v1", again, roots); err != nil {
		t.Fatal(err)
	}
	for name, content := range readArchive(t, again) {
		if !bytes.Equal(content, files[name]) {
			t.Errorf("%s differs between two builds of the same binary", name)
		}
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
