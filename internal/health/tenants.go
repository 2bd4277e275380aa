package health

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Tenants gathers what keeps a process from working for each of its tenants. It is ready when it can work for one of
// them, or when nobody has declared one yet: a process of several must not leave the others because one is in trouble.
type Tenants struct {
	mu       sync.Mutex
	tenants  map[string]*tenant // by directory
	looked   bool
	trouble  error // of looking for tenants
	stopping bool
}

type tenant struct {
	expected  bool  // it was named by itself: without it there is nothing to do
	read      bool  // at some time
	trouble   error // nil: it can be worked for
	tokenHash string
}

// errStopping says that a process finishes what it has begun.
var errStopping = errors.New("the process is stopping")

// NewTenants expects a tenant in each of these directories, and others in directories that may come and go.
func NewTenants(expected []string) *Tenants {
	t := &Tenants{tenants: map[string]*tenant{}}
	for _, dir := range expected {
		t.tenants[dir] = &tenant{expected: true, trouble: missing(dir)}
	}
	return t
}

func missing(dir string) error {
	return fmt.Errorf("the tenant directory %s has not arrived, or is not complete", dir)
}

// Looked says that tenants were looked for, and what was in the way.
func (t *Tenants) Looked(trouble error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.looked, t.trouble = true, trouble
}

// Found says that a tenant's directory was read, and which token its metrics want: the SHA-256 in hex, "" for none.
func (t *Tenants) Found(dir, tokenHash string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := t.tenants[dir]
	if found == nil {
		found = &tenant{}
		t.tenants[dir] = found
	}
	if !found.read {
		found.trouble = fmt.Errorf("the database of the tenant in %s has not been asked yet", dir)
	}
	found.read, found.tokenHash = true, tokenHash
}

// Set says what keeps a tenant that was found from being worked for; nil is nothing.
func (t *Tenants) Set(dir string, trouble error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found := t.tenants[dir]; found != nil && found.read {
		found.trouble = trouble
	}
}

// Gone says that a tenant's directory holds none any more. A token that it wanted is wanted on.
func (t *Tenants) Gone(dir string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := t.tenants[dir]
	switch {
	case found == nil:
	case found.expected:
		found.trouble = missing(dir)
	default:
		delete(t.tenants, dir)
	}
}

// Stop makes the process unready for good.
func (t *Tenants) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopping = true
}

// Ready tells what is waited for; nil is nothing.
func (t *Tenants) Ready() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.stopping:
		return errStopping
	case !t.looked:
		return errors.New("tenants have not been looked for yet")
	}
	var troubles []string
	for _, dir := range slices.Sorted(maps.Keys(t.tenants)) {
		trouble := t.tenants[dir].trouble
		if trouble == nil {
			return nil
		}
		troubles = append(troubles, trouble.Error())
	}
	if len(troubles) == 0 {
		return t.trouble
	}
	if more := len(troubles) - maxNamed; more > 0 {
		troubles = append(troubles[:maxNamed], fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(troubles, "\n"))
}

// MetricsTokens are the hashes of which Options.MetricsTokens speaks. They are not known before an expected directory has
// arrived: what it wants to be kept from others must not show until then.
func (t *Tenants) MetricsTokens() ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var hashes []string
	for _, dir := range slices.Sorted(maps.Keys(t.tenants)) {
		tenant := t.tenants[dir]
		switch {
		case tenant.expected && !tenant.read:
			return nil, tenant.trouble
		case tenant.tokenHash != "":
			hashes = append(hashes, tenant.tokenHash)
		}
	}
	return hashes, nil
}
