package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// archive is a compressed tar archive into which nothing gets but through the net.
type archive struct {
	zip      *gzip.Writer
	tar      *tar.Writer
	now      time.Time
	left     int64 // bytes that still fit
	bytes    int64
	files    []file
	tooLarge []string
}

type file struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

// manifest tells what is in a bundle and what is not.
type manifest struct {
	Made     string   `json:"made"`
	By       string   `json:"by"`
	Of       string   `json:"namespace,omitempty"` // absent: all tenants
	LeftOut  []string `json:"leftOut"`
	TooLarge []string `json:"tooLarge,omitempty"` // what did not fit
	Errors   []string `json:"errors,omitempty"`   // what could not be read
	Files    []file   `json:"files"`
}

// directory is what all files of a bundle are in.
const directory = "tertulia-support/"

func newArchive(to io.Writer, most int64, now time.Time) *archive {
	zip := gzip.NewWriter(to)
	return &archive{zip: zip, tar: tar.NewWriter(zip), now: now, left: most}
}

// path joins names that come from a cluster. Kubernetes lets none hold a slash, and a bundle is unpacked by people.
func path(names ...string) string {
	clean := make([]string, 0, len(names))
	for _, name := range names {
		name = strings.NewReplacer("/", "_", "\\", "_", "..", "_").Replace(redact(name))
		if name == "" {
			name = "_"
		}
		clean = append(clean, name)
	}
	return strings.Join(clean, "/")
}

// document writes what can be JSON, as YAML.
func (a *archive) document(name string, value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	text, err := yaml.Marshal(redactAll(raw2value(encoded)))
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return a.write(name, text)
}

// text writes lines as they are, but for what the net holds back.
func (a *archive) text(name string, lines []byte) error {
	return a.write(name, []byte(redact(string(bytes.ToValidUTF8(lines, []byte("\uFFFD"))))))
}

// write adds a file if it fits. What does not is remembered.
func (a *archive) write(name string, content []byte) error {
	if int64(len(content)) > a.left {
		a.tooLarge = append(a.tooLarge, name)
		return nil
	}
	return a.add(name, content)
}

func (a *archive) add(name string, content []byte) error {
	header := &tar.Header{Name: directory + name, Mode: 0o600, Size: int64(len(content)), ModTime: a.now.Truncate(time.Second)}
	if err := a.tar.WriteHeader(header); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	if _, err := a.tar.Write(content); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	a.left -= int64(len(content))
	a.bytes += int64(len(content))
	a.files = append(a.files, file{Name: name, Bytes: len(content)})
	return nil
}

// close writes the manifest, which always fits, and ends the archive.
func (a *archive) close(m manifest) error {
	text, err := yaml.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode the manifest: %w", err)
	}
	if err := a.add("manifest.yaml", text); err != nil {
		return err
	}
	if err := a.tar.Close(); err != nil {
		return fmt.Errorf("end the bundle: %w", err)
	}
	if err := a.zip.Close(); err != nil {
		return fmt.Errorf("end the bundle: %w", err)
	}
	return nil
}

// raw2value reads JSON; what is none stays a text.
func raw2value(encoded []byte) any {
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return string(encoded)
	}
	return plainNumbers(value)
}

// plainNumbers keeps whole numbers whole: as floats, large ones would be written with an exponent.
func plainNumbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = plainNumbers(v[key])
		}
	}
	return value
}
