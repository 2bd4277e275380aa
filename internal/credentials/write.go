package credentials

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write makes a tenant's directory under a root say exactly this. Each file is replaced at once, so that a reader sees
// the old or the new content, and files that are no longer named are removed.
func Write(root string, t Tenant) error {
	dir := filepath.Join(root, t.ID)
	if filepath.Dir(dir) != filepath.Clean(root) {
		return fmt.Errorf("write tenant directory: %q is no tenant id", t.ID)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make tenant directory: %w", err)
	}
	wanted := t.Files()
	present, err := readFiles(dir)
	if err != nil {
		return fmt.Errorf("read tenant directory: %w", err)
	}
	for name, content := range wanted {
		if old, ok := present[name]; ok && old == content {
			continue
		}
		if err := replace(dir, name, content); err != nil {
			return fmt.Errorf("write tenant directory: %w", err)
		}
	}
	for name := range present {
		if _, ok := wanted[name]; ok {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clear tenant directory: %w", err)
		}
	}
	return nil
}

func replace(dir, name, content string) error {
	f, err := os.CreateTemp(dir, ".new-*") // created with mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// Remove removes a tenant's directory. One that is not there is no error.
func Remove(root, id string) error {
	dir := filepath.Join(root, id)
	if filepath.Dir(dir) != filepath.Clean(root) {
		return fmt.Errorf("remove tenant directory: %q is no tenant id", id)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove tenant directory: %w", err)
	}
	return nil
}
