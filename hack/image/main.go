// Command image builds an OCI image archive of one static binary, without a container engine: one layer with the
// binary and root certificates, running as a user without privileges. The archive is an OCI
// layout that also carries Docker's manifest.json, so that docker load, podman load and ctr images import read it.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"time"
)

// user is nobody's by convention, and not root.
const user = "65532:65532"

// epoch is the time of every file, so that the same binary makes the same image.
var epoch = time.Unix(0, 0).UTC()

func main() {
	binary := flag.String("binary", "bin/tertulia", "static binary")
	version := flag.String("version", "unknown", "tag of the image")
	output := flag.String("output", "bin/tertulia-image.tar", "archive to write")
	certificates := flag.String("certificates", "/etc/ssl/certs/ca-certificates.crt", "root certificates to trust")
	flag.Parse()
	if err := run(*binary, *version, *output, *certificates); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(binary, version, output, certificates string) error {
	program, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	roots, err := os.ReadFile(certificates)
	if err != nil {
		return fmt.Errorf("the image needs root certificates to verify mail servers: %w", err)
	}
	layer, err := layerOf(map[string]file{
		"usr/local/bin/tertulia":            {content: program, mode: 0o755},
		"etc/ssl/certs/ca-certificates.crt": {content: roots, mode: 0o644},
		"etc/passwd":                        {content: []byte("tertulia:x:65532:65532::/:/sbin/nologin\n"), mode: 0o644},
	})
	if err != nil {
		return err
	}
	image, err := newImage(layer, "tertulia:"+version)
	if err != nil {
		return err
	}
	f, err := os.Create(output)
	if err != nil {
		return err
	}
	if err := errors.Join(image.write(f), f.Close()); err != nil {
		return err
	}
	fmt.Printf("%s: tertulia:%s, %.1f MB\n", output, version, float64(len(layer.compressed))/1e6)
	return nil
}

type file struct {
	content []byte
	mode    int64
}

// layer is a file system change, compressed, with the digests that a manifest (of the compressed form) and a
// configuration (of the plain form) name it by.
type layer struct {
	compressed []byte
	diffID     string
}

func layerOf(files map[string]file) (layer, error) {
	var plain bytes.Buffer
	archive := tar.NewWriter(&plain)
	directories := []string{"etc/", "etc/ssl/", "etc/ssl/certs/", "tmp/", "usr/", "usr/local/", "usr/local/bin/"}
	for _, dir := range directories {
		mode := int64(0o755)
		if dir == "tmp/" {
			mode = 0o1777
		}
		if err := archive.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: mode, ModTime: epoch}); err != nil {
			return layer{}, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := addFile(archive, name, files[name]); err != nil {
			return layer{}, err
		}
	}
	if err := archive.Close(); err != nil {
		return layer{}, err
	}
	var compressed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err != nil {
		return layer{}, err
	}
	if _, err := zip.Write(plain.Bytes()); err != nil {
		return layer{}, err
	}
	if err := zip.Close(); err != nil {
		return layer{}, err
	}
	return layer{compressed: compressed.Bytes(), diffID: digest(plain.Bytes())}, nil
}

func addFile(archive *tar.Writer, name string, f file) error {
	header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: f.mode, Size: int64(len(f.content)), ModTime: epoch}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(f.content)
	return err
}

// image is the content of the archive by file name.
type image map[string]file

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func newImage(l layer, tag string) (image, error) {
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "created": epoch.Format(time.RFC3339),
		"config": map[string]any{
			"Entrypoint": []string{"/usr/local/bin/tertulia"}, "User": user, "WorkingDir": "/",
			"Env": []string{"PATH=/usr/local/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{l.diffID}},
	})
	if err != nil {
		return nil, err
	}
	blob := func(mediaType string, content []byte) descriptor {
		return descriptor{MediaType: mediaType, Digest: digest(content), Size: len(content)}
	}
	layerBlob := blob("application/vnd.oci.image.layer.v1.tar+gzip", l.compressed)
	configBlob := blob("application/vnd.oci.image.config.v1+json", config)
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": configBlob, "layers": []descriptor{layerBlob},
	})
	if err != nil {
		return nil, err
	}
	manifestBlob := blob("application/vnd.oci.image.manifest.v1+json", manifest)
	manifestBlob.Annotations = map[string]string{"org.opencontainers.image.ref.name": tag, "io.containerd.image.name": "docker.io/library/" + tag}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{manifestBlob}})
	if err != nil {
		return nil, err
	}
	docker, err := json.Marshal([]map[string]any{{
		"Config": blobPath(configBlob.Digest), "RepoTags": []string{tag}, "Layers": []string{blobPath(layerBlob.Digest)},
	}})
	if err != nil {
		return nil, err
	}
	return image{
		"oci-layout":                  {content: []byte(`{"imageLayoutVersion":"1.0.0"}`), mode: 0o644},
		"index.json":                  {content: index, mode: 0o644},
		"manifest.json":               {content: docker, mode: 0o644},
		blobPath(layerBlob.Digest):    {content: l.compressed, mode: 0o644},
		blobPath(configBlob.Digest):   {content: config, mode: 0o644},
		blobPath(manifestBlob.Digest): {content: manifest, mode: 0o644},
	}, nil
}

func (i image) write(w io.Writer) error {
	archive := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(i)) {
		if err := addFile(archive, name, i[name]); err != nil {
			return err
		}
	}
	return archive.Close()
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func blobPath(digest string) string { return path.Join("blobs", "sha256", digest[len("sha256:"):]) }
