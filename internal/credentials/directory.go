package credentials

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
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

// HostTakenError says that another tenant is reached at the host of a public URL. A server could not tell whose requests
// they are, and one tenant's links would lead to the other.
type HostTakenError struct {
	Namespace string // of the tenant that has the host
}

// Error implements error.
func (e *HostTakenError) Error() string {
	return fmt.Sprintf("the host of the public URL belongs to the tenant of namespace %q", e.Namespace)
}

// CheckTenant returns the error with which SaveTenant would refuse a tenant.
func (d *Directory) CheckTenant(t Tenant) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.check(t)
	return err
}

// SaveTenant writes what is said of a tenant but its channels, which stay as they are. The first namespace that saves an
// id or a host has it until it forgets the tenant; to any other it returns a *TakenError or a *HostTakenError and writes
// nothing.
func (d *Directory) SaveTenant(t Tenant) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	present, err := d.check(t)
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

// check reads what is there of a tenant, and tells whether somebody else has its id or its host.
func (d *Directory) check(t Tenant) (present Tenant, err error) {
	if present, err = d.readOwn(t.ID, t.Namespace); err != nil {
		return Tenant{}, err
	}
	host := HostOf(t.PublicURL)
	if host == "" {
		return present, nil
	}
	dirs, err := List(d.Root)
	if err != nil {
		return Tenant{}, err
	}
	for _, dir := range dirs {
		other, err := Read(dir)
		if err == nil && other.ID != t.ID && strings.EqualFold(HostOf(other.PublicURL), host) {
			return Tenant{}, &HostTakenError{Namespace: other.Namespace}
		}
	}
	return present, nil
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
