package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/hack/people/invent"
)

// awaitConfiguration waits until what the standing folder declares is in force.
func (d *demo) awaitConfiguration(ctx context.Context) error {
	d.show.begin("Applying %s and %s", standingFolder, listeningFolder)
	objects := 0
	err := await(ctx, func(ctx context.Context) (string, error) {
		objects = 0
		for _, kind := range []client.ObjectList{
			&v1alpha1.CRMTenantList{}, &v1alpha1.RecordTypeList{}, &v1alpha1.EventTypeList{}, &v1alpha1.MessageChannelList{}, &v1alpha1.SegmentList{},
			&v1alpha1.MessageTemplateList{}, &v1alpha1.ConsentPolicyList{}, &v1alpha1.SendPolicyList{}, &v1alpha1.MonitorList{},
			&v1alpha1.SocialSourceList{},
		} {
			found, err := d.velo.list(ctx, kind)
			if err != nil {
				return "", err
			}
			if len(found) == 0 {
				return fmt.Sprintf("%T is still empty", kind), nil
			}
			for _, object := range found {
				if missing, err := notReady(object); err != nil || missing != "" {
					return missing, err
				}
			}
			objects += len(found)
		}
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("apply %s: %w", standingFolder, err)
	}
	d.show.done("%d objects in force: tenant, attributes, events, channel, segments, policies, monitor, sources", objects)
	return nil
}

// importPeople invents the customers, once for a data directory, and imports them with the command that a user has.
func (d *demo) importPeople(ctx context.Context) error {
	folder := filepath.Join(d.dataDir, "people")
	contacts, events := filepath.Join(folder, invent.ContactsFile), filepath.Join(folder, invent.EventsFile)
	if _, err := os.Stat(events); errors.Is(err, fs.ErrNotExist) {
		d.show.begin("Inventing customers")
		today := time.Now().UTC().Truncate(24 * time.Hour)
		population := invent.New(invent.Options{Contacts: d.contacts, Events: d.events, Seed: 1, Until: today})
		if err := population.WriteFiles(folder); err != nil {
			return fmt.Errorf("invent customers: %w", err)
		}
		d.show.done("%s contacts in %s, %s events in %s", thousands(int64(d.contacts)), relative(contacts), thousands(int64(d.events)), relative(events))
	}
	// Events first: they wait for their people, and segments are then built once, from everything.
	for _, file := range []struct{ what, path string }{{"events", events}, {"contacts", contacts}} {
		if err := d.importFile(ctx, file.what, file.path); err != nil {
			return fmt.Errorf("import %s: %w", file.what, err)
		}
	}
	return nil
}

// imported is what both imports say with --output json. What one of them does not count is 0.
type imported struct {
	Created, Updated, Unchanged int64 // contacts
	Accepted, Duplicate         int64 // events
	Rejected                    int64
	Changed                     bool
}

// String leaves out what is 0.
func (i imported) String() string {
	var parts []string
	for _, part := range []struct {
		n    int64
		what string
	}{{i.Created + i.Accepted, "new"}, {i.Updated, "changed"}, {i.Unchanged + i.Duplicate, "there already"}} {
		if part.n > 0 {
			parts = append(parts, thousands(part.n)+" "+part.what)
		}
	}
	return strings.Join(parts, ", ")
}

func (d *demo) importFile(ctx context.Context, what, path string) error {
	d.show.begin("tertulia import %s %s --namespace %s --source %s", what, relative(path), namespace, invent.Source)
	command := exec.CommandContext(ctx, d.program, "import", what, path,
		"--namespace", namespace, "--source", invent.Source, "--kubeconfig", d.up.ready.Kubeconfig, "--output", "json")
	command.Stderr = os.Stderr                // where its progress bar is
	began := time.Now().Truncate(time.Second) // as fine as a status tells time
	summary, err := command.Output()
	if err != nil {
		return err
	}
	var result imported
	if err := json.Unmarshal(summary, &result); err != nil {
		return fmt.Errorf("read its summary: %w", err)
	}
	if result.Rejected > 0 {
		return fmt.Errorf("%d were rejected; the reasons are beside %s", result.Rejected, relative(path))
	}
	if !result.Changed {
		d.show.done("nothing new: all of it was there already")
		return nil
	}
	d.peopleChanged = began
	d.show.done("%s", result)
	return nil
}

// steady is how long a count that does not follow an import must stay the same. A worker notices what was asked of it
// within a second or two, and an import that brings nobody in or out leaves no other trace.
const steady = 5 * time.Second

// awaitSegments waits until the segments have been built from the people that were just imported.
func (d *demo) awaitSegments(ctx context.Context) error {
	d.show.begin("Building segments")
	var members string
	began := time.Now()
	err := await(ctx, func(ctx context.Context) (string, error) {
		var segments v1alpha1.SegmentList
		if _, err := d.velo.list(ctx, &segments); err != nil {
			return "", err
		}
		members = ""
		for i := range segments.Items {
			segment := &segments.Items[i]
			if missing, err := notReady(segment); err != nil || missing != "" {
				return missing, err
			}
			if count(segment.Status.Members) == 0 {
				return "segment/" + segment.Name + " has no members", nil
			}
			built := segment.Status.LastBuilt
			if (built == nil || built.Time.Before(d.peopleChanged)) && time.Since(began) < steady {
				return "segment/" + segment.Name + " is older than the people", nil
			}
			members += fmt.Sprintf("%s %s, ", segment.Name, thousands(*segment.Status.Members))
		}
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("build segments: %w", err)
	}
	d.show.done("members: %s", members[:len(members)-2])
	return nil
}
