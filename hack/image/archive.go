package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"path"
	"slices"
	"time"
)

// epoch is the time of every file, so that the same binary makes the same image.
var epoch = time.Unix(0, 0).UTC()

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
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
}

func newImage(l layer, about description) (image, error) {
	tag, labels := "tertulia:"+about.version, about.labels()
	config, err := json.Marshal(map[string]any{
		"architecture": about.architecture, "os": "linux", "created": epoch.Format(time.RFC3339),
		"config": map[string]any{
			"Entrypoint": []string{"/usr/local/bin/tertulia"}, "User": user, "WorkingDir": "/",
			"Env":    []string{"PATH=/usr/local/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
			"Labels": labels,
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
		"config": configBlob, "layers": []descriptor{layerBlob}, "annotations": labels,
	})
	if err != nil {
		return nil, err
	}
	manifestBlob := blob("application/vnd.oci.image.manifest.v1+json", manifest)
	manifestBlob.Platform = &platform{OS: "linux", Architecture: about.architecture}
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
