package versionskew

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/openapi"
	ctrl "sigs.k8s.io/controller-runtime"
)

const (
	// usualInterval is how often the API server is asked: only for the address of its document, which changes with it.
	usualInterval = time.Minute
	// maxNamed bounds how many fields of a kind the log names.
	maxNamed = 10
)

// Watcher compares the kinds of the API server with this operator's own. It is a manager.Runnable.
type Watcher struct {
	// Server publishes what the API server takes.
	Server openapi.Client
	// Definitions holds this operator's CustomResourceDefinitions, as *.yaml files at its root.
	Definitions fs.FS
	// Version is whose kinds are compared.
	Version apischema.GroupVersion
	// Told is given the numbers of a kind's fields and values that this operator does not know, and of those that the API
	// server does not take.
	Told func(kind string, unknown, missing int)
	// Interval is how often to look; 0 means a minute.
	Interval time.Duration
}

// NeedLeaderElection makes the watcher run where the controllers do.
func (*Watcher) NeedLeaderElection() bool { return true }

// Start compares now and then, until ctx ends. An API server that does not answer is asked again later.
func (w *Watcher) Start(ctx context.Context) error {
	known, err := readDefinitions(w.Definitions, w.Version.Version)
	if err != nil {
		return err
	}
	interval := w.Interval
	if interval == 0 {
		interval = usualInterval
	}
	log := ctrl.LoggerFrom(ctx)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var seen string
	told := map[string]string{}
	for {
		address, served, err := w.fetch(seen)
		switch {
		case err != nil:
			log.V(1).Info("The API server's kinds could not be compared", "error", err.Error())
		case served != nil:
			seen = address
			for kind, d := range compare(served, known) {
				w.Told(kind, len(d.Unknown), len(d.Missing))
				if words := d.words(); words != told[kind] {
					told[kind] = words
					log.Info("The kinds of the API server and this operator are of different versions: install the chart of one version",
						"kind", kind, "difference", words)
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// fetch reads what the API server takes, and nothing where its document is the one that was seen.
func (w *Watcher) fetch(seen string) (address string, served vocabulary, err error) {
	paths, err := w.Server.Paths()
	if err != nil {
		return "", nil, fmt.Errorf("ask the API server which kinds it publishes: %w", err)
	}
	published := paths["apis/"+w.Version.String()]
	if published == nil {
		return "", nil, fmt.Errorf("the API server publishes no kinds of %s", w.Version)
	}
	address = published.ServerRelativeURL()
	if address == seen {
		return address, nil, nil
	}
	document, err := published.Schema(runtime.ContentTypeJSON)
	if err != nil {
		return "", nil, fmt.Errorf("read which kinds the API server publishes: %w", err)
	}
	served, err = readOpenAPI(document)
	return address, served, err
}

// words names what differs, for the log.
func (d difference) words() string {
	var parts []string
	for what, paths := range map[string][]string{"unknown here": d.Unknown, "not taken by the API server": d.Missing} {
		if len(paths) == 0 {
			continue
		}
		named := strings.Join(paths[:min(len(paths), maxNamed)], ", ")
		if more := len(paths) - maxNamed; more > 0 {
			named += fmt.Sprintf(" and %d more", more)
		}
		parts = append(parts, what+": "+named)
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}
