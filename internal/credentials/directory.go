package credentials

import (
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
)

// Directory is a root under which the operator keeps a directory for each tenant. Its methods change one part of a
// tenant and leave the rest; the files are written only where they differ.
type Directory struct {
	Root string

	mu sync.Mutex
}

// SaveDatabase names the URL with which workers and servers log in.
func (d *Directory) SaveDatabase(tenantID, url string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, err := d.read(tenantID)
	if err != nil && !errors.Is(err, ErrIncomplete) {
		return err
	}
	t.ID, t.DatabaseURL = tenantID, url
	return Write(d.Root, t)
}

// SaveLogin names what a channel authenticates with; nil is nothing. It returns ErrIncomplete for a tenant without a
// database, which has no logins to take away either.
func (d *Directory) SaveLogin(tenantID, channel string, login *Channel) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, err := d.read(tenantID)
	if login == nil && errors.Is(err, ErrIncomplete) {
		return nil
	}
	if err != nil {
		return err
	}
	if login == nil {
		delete(t.Channels, channel)
	} else {
		t.Channels[channel] = *login
	}
	return Write(d.Root, t)
}

// Forget removes a tenant.
func (d *Directory) Forget(tenantID string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Remove(d.Root, tenantID)
}

func (d *Directory) read(tenantID string) (Tenant, error) {
	t, err := Read(filepath.Join(d.Root, tenantID))
	if errors.Is(err, fs.ErrNotExist) {
		return Tenant{}, ErrIncomplete
	}
	return t, err
}
