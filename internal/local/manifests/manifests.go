// Package manifests keeps a cluster as directories of manifests say, like a GitOps tool whose repository is the directory:
// objects are applied server-side, edits are applied as they are saved, and what is removed from the directory is removed from
// the cluster.
package manifests

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// Options say what to apply and where. Config and Inventory are needed.
type Options struct {
	// Config reaches the API server.
	Config *rest.Config
	// Directories are those with manifests.
	Directories []string
	// Inventory is the file that remembers what was applied.
	Inventory string
	// Progress is told what was applied and removed, and what is wrong, a line each. Default: nobody.
	Progress io.Writer
	// Debounce is how long a directory must be quiet before it is read again. Default: 200 ms.
	Debounce time.Duration
	// Recheck is how often everything is applied again without a known change: it undoes what others changed, and finds edits
	// that the file system did not report. Default: 30 s.
	Recheck time.Duration
}

// Problem is something that could not be read, applied or removed.
type Problem struct {
	// File is the manifest, kustomization or directory; empty where an object that has no file any more could not be removed.
	File string
	// Object names the object, such as "Campaign velo/spring"; empty where the file could not be read.
	Object string
	// Err is the cause, such as the API server's message.
	Err error
}

// Error names file, object and cause.
func (p Problem) Error() string {
	text := p.Err.Error()
	if p.Object != "" {
		text = p.Object + ": " + text
	}
	if p.File != "" {
		text = shown(p.File) + ": " + text
	}
	return text
}

// Unwrap returns the cause.
func (p Problem) Unwrap() error { return p.Err }

// Applier applies directories. It is not for use by several goroutines at a time.
type Applier struct {
	options     Options
	dynamic     dynamic.Interface
	definitions clientset.Interface
	mapper      *restmapper.DeferredDiscoveryRESTMapper
	inventory   *inventory

	applied map[ref][sha256.Size]byte // by digest of the manifest, to tell people what is new
	known   map[string]bool           // problems that people have been told of
}

// New makes an Applier. It does not apply anything yet.
func New(o Options) (*Applier, error) {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.Debounce == 0 {
		o.Debounce = 200 * time.Millisecond
	}
	if o.Recheck == 0 {
		o.Recheck = 30 * time.Second
	}
	o.Directories = slices.Clone(o.Directories)
	for i, directory := range o.Directories {
		absolute, err := filepath.Abs(directory)
		if err != nil {
			return nil, fmt.Errorf("find the manifests %s: %w", directory, err)
		}
		o.Directories[i] = absolute
	}
	inventory, err := openInventory(o.Inventory)
	if err != nil {
		return nil, err
	}
	a := &Applier{options: o, inventory: inventory, applied: map[ref][sha256.Size]byte{}, known: map[string]bool{}}
	dynamicClient, dynamicErr := dynamic.NewForConfig(o.Config)
	definitions, definitionsErr := clientset.NewForConfig(o.Config)
	discoverer, discoveryErr := discovery.NewDiscoveryClientForConfig(o.Config)
	if err := errors.Join(dynamicErr, definitionsErr, discoveryErr); err != nil {
		return nil, fmt.Errorf("make clients of the API server: %w", err)
	}
	a.dynamic, a.definitions = dynamicClient, definitions
	a.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discoverer))
	return a, nil
}

// Sync makes one pass: it reads the directories, applies what is there and removes what has gone. What goes wrong with one
// object stops no other. The folders to watch for the next change are returned too.
func (a *Applier) Sync(ctx context.Context) (problems []Problem, folders []string) {
	wanted, watched := map[ref]bool{}, map[string]bool{}
	var unreadable []string
	var todo []application
	for _, directory := range a.options.Directories {
		found := load(directory)
		problems = append(problems, found.broken...)
		unreadable = append(unreadable, found.unreadable...)
		maps.Copy(watched, found.folders)
		for _, o := range found.objects {
			next := a.resolve(o, directory)
			if wanted[next.ref] {
				problems = append(problems, next.problem(errors.New("another manifest has this object already; remove one of them")))
				continue
			}
			wanted[next.ref] = true
			todo = append(todo, next)
		}
	}
	problems = append(problems, a.applyAll(ctx, todo)...)
	problems = append(problems, a.prune(ctx, wanted, unreadable)...)
	if ctx.Err() == nil {
		a.tell(problems)
	}
	return problems, slices.Sorted(maps.Keys(watched))
}

// tell reports problems that are new, and those that are gone.
func (a *Applier) tell(problems []Problem) {
	now := map[string]bool{}
	for _, p := range problems {
		text := p.Error()
		if !a.known[text] && !now[text] {
			a.say("problem", text)
		}
		now[text] = true
	}
	if len(a.known) > 0 && len(now) == 0 {
		a.say("mended", "all manifests are in force")
	}
	a.known = now
}

func (a *Applier) say(what, about string) {
	_, _ = fmt.Fprintf(a.options.Progress, "%-8s %s\n", what, about)
}

// shown is a path as people here would write it: relative, where it lies below the working directory.
func shown(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if relative, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(relative) {
		return relative
	}
	return path
}

func digest(o object) [sha256.Size]byte {
	content, err := json.Marshal(o.Object)
	if err != nil { // an object that cannot be encoded cannot be applied either, and that is reported
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(content)
}
