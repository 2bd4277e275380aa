package credentials

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
)

// Directory is a root under which the operator keeps a directory for each tenant whose workers and servers run on this
// machine. Files are written only where they differ.
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
	return d.check(t)
}

// SaveTenant makes a tenant's directory say exactly this. The first namespace that saves an id or a host has it until it
// forgets the tenant; to any other it returns a *TakenError or a *HostTakenError and writes nothing.
func (d *Directory) SaveTenant(t Tenant) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(t); err != nil {
		return err
	}
	return Write(d.Root, t)
}

// Forget removes a namespace's tenant. Another namespace's tenant of the same id stays.
func (d *Directory) Forget(tenantID, namespace string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var taken *TakenError
	err := d.checkID(tenantID, namespace)
	if errors.As(err, &taken) {
		return nil
	}
	if err != nil {
		return err
	}
	return Remove(d.Root, tenantID)
}

// check tells whether somebody else has a tenant's id or its host.
func (d *Directory) check(t Tenant) error {
	if err := d.checkID(t.ID, t.Namespace); err != nil {
		return err
	}
	host := HostOf(t.PublicURL)
	if host == "" {
		return nil
	}
	dirs, err := List(d.Root)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		other, err := Read(dir)
		if err == nil && other.ID != t.ID && strings.EqualFold(HostOf(other.PublicURL), host) {
			return &HostTakenError{Namespace: other.Namespace}
		}
	}
	return nil
}

// checkID tells whether an id is this namespace's or nobody's.
func (d *Directory) checkID(tenantID, namespace string) error {
	t, err := Read(filepath.Join(d.Root, tenantID))
	if errors.Is(err, ErrIncomplete) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && t.Namespace != "" && t.Namespace != namespace {
		return &TakenError{ID: tenantID, Namespace: t.Namespace}
	}
	return err
}
