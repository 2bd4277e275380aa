package credentials

import (
	"errors"
	"fmt"
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

// TakenError says that the directory of a tenant's id belongs to another namespace. Whoever could write it would get that
// tenant's traffic, and the credentials of its channels.
type TakenError struct {
	ID, Namespace string // the namespace that has the id
}

// Error implements error.
func (e *TakenError) Error() string {
	return fmt.Sprintf("the tenant id %q belongs to namespace %q", e.ID, e.Namespace)
}

// CheckTenant returns a *TakenError where the directory of this id is another namespace's.
func (d *Directory) CheckTenant(tenantID, namespace string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.readOwn(tenantID, namespace)
	return err
}

// SaveTenant writes what is said of a tenant but its channels, which stay as they are. The first namespace that saves an
// id has it until it forgets it; to any other it returns a *TakenError and writes nothing.
func (d *Directory) SaveTenant(t Tenant) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	present, err := d.readOwn(t.ID, t.Namespace)
	if err != nil {
		return err
	}
	t.Channels = present.Channels
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

// Forget removes a namespace's tenant. Another namespace's tenant of the same id stays.
func (d *Directory) Forget(tenantID, namespace string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var taken *TakenError
	_, err := d.readOwn(tenantID, namespace)
	if errors.As(err, &taken) {
		return nil
	}
	if err != nil {
		return err
	}
	return Remove(d.Root, tenantID)
}

// readOwn reads a tenant that is this namespace's or nobody's; one that is not there yet is empty.
func (d *Directory) readOwn(tenantID, namespace string) (Tenant, error) {
	t, err := d.read(tenantID)
	if errors.Is(err, ErrIncomplete) {
		return Tenant{}, nil
	}
	if err == nil && t.Namespace != "" && t.Namespace != namespace {
		return Tenant{}, &TakenError{ID: tenantID, Namespace: t.Namespace}
	}
	return t, err
}

func (d *Directory) read(tenantID string) (Tenant, error) {
	t, err := Read(filepath.Join(d.Root, tenantID))
	if errors.Is(err, fs.ErrNotExist) {
		return Tenant{}, ErrIncomplete
	}
	return t, err
}
