// Package credentialstest lays out directories as a kubelet mounts Secrets.
package credentialstest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Mount is a directory in which a Secret is mounted whole.
type Mount struct {
	t        testing.TB
	dir      string
	revision int
	present  map[string]bool
}

// NewMount mounts into an empty directory.
func NewMount(t testing.TB, dir string) *Mount {
	return &Mount{t: t, dir: dir, present: map[string]bool{}}
}

// Set replaces what the Secret holds, in the order in which the kubelet does: the new revision is written into a directory
// of its own, the link "..data" is replaced at once, links are made for new keys and removed for those that are gone, and
// the old revision is removed.
func (m *Mount) Set(values map[string]string) {
	m.t.Helper()
	m.revision++
	revision := fmt.Sprintf("..2026_11_22_10_00_%02d.%d", m.revision%60, m.revision)
	old, _ := os.Readlink(filepath.Join(m.dir, "..data"))
	m.must(os.Mkdir(filepath.Join(m.dir, revision), 0o750))
	for name, value := range values {
		m.must(os.WriteFile(filepath.Join(m.dir, revision, name), []byte(value), 0o440)) //nolint:gosec // as the kubelet does
	}
	m.must(os.Symlink(revision, filepath.Join(m.dir, "..data_tmp")))
	m.must(os.Rename(filepath.Join(m.dir, "..data_tmp"), filepath.Join(m.dir, "..data")))
	for name := range values {
		if !m.present[name] {
			m.must(os.Symlink(filepath.Join("..data", name), filepath.Join(m.dir, name)))
			m.present[name] = true
		}
	}
	for name := range m.present {
		if _, ok := values[name]; !ok {
			m.must(os.Remove(filepath.Join(m.dir, name)))
			delete(m.present, name)
		}
	}
	if old != "" {
		m.must(os.RemoveAll(filepath.Join(m.dir, old)))
	}
}

func (m *Mount) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("mount a Secret: %v", err)
	}
}
