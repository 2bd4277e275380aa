package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/hack/people/invent"
)

// awaitConfiguration waits until what the base folder declares is in force.
func awaitConfiguration(ctx context.Context, show *narrator, velo *cluster, _ *upProcess, _ options) error {
	show.begin("Applying %s", baseFolder)
	objects := 0
	err := await(ctx, func(ctx context.Context) (string, error) {
		objects = 0
		for _, kind := range []client.ObjectList{
			&v1alpha1.CRMTenantList{}, &v1alpha1.RecordTypeList{}, &v1alpha1.EventTypeList{}, &v1alpha1.MessageChannelList{}, &v1alpha1.SegmentList{},
		} {
			found, err := velo.list(ctx, kind)
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
		return fmt.Errorf("apply %s: %w", baseFolder, err)
	}
	show.done("%d objects in force: tenant, attributes, events, channel, segments", objects)
	return nil
}

// importPeople invents the customers, once for a data directory, and imports them with the command that a user has.
func importPeople(ctx context.Context, show *narrator, _ *cluster, up *upProcess, o options) error {
	folder := filepath.Join(o.dataDir, "people")
	contacts, events := filepath.Join(folder, invent.ContactsFile), filepath.Join(folder, invent.EventsFile)
	if _, err := os.Stat(events); errors.Is(err, fs.ErrNotExist) {
		show.begin("Inventing customers")
		today := time.Now().UTC().Truncate(24 * time.Hour)
		population := invent.New(invent.Options{Contacts: o.contacts, Events: o.events, Seed: 1, Until: today})
		if err := population.WriteFiles(folder); err != nil {
			return fmt.Errorf("invent customers: %w", err)
		}
		show.done("%s contacts in %s, %s events in %s", thousands(int64(o.contacts)), relative(contacts), thousands(int64(o.events)), relative(events))
	}
	for _, file := range []struct{ what, path string }{{"contacts", contacts}, {"events", events}} {
		show.begin("tertulia import %s %s --namespace %s --source %s", file.what, relative(file.path), namespace, invent.Source)
		command := exec.CommandContext(ctx, o.program, "import", file.what, file.path,
			"--namespace", namespace, "--source", invent.Source, "--kubeconfig", up.ready.Kubeconfig)
		command.Stdout, command.Stderr = os.Stdout, os.Stderr // with its progress bar
		if err := command.Run(); err != nil {
			return fmt.Errorf("import %s: %w", file.what, err)
		}
		show.done("imported")
	}
	return nil
}

// steady is how long the segments' counts must stay the same: contacts and events ask for an evaluation each, and a
// worker looks for what is asked once a second.
const steady = 1500 * time.Millisecond

// awaitSegments waits until the segments have been built from the people that were just imported.
func awaitSegments(ctx context.Context, show *narrator, velo *cluster, _ *upProcess, _ options) error {
	show.begin("Building segments")
	var members, before string
	var since time.Time
	err := await(ctx, func(ctx context.Context) (string, error) {
		var segments v1alpha1.SegmentList
		if _, err := velo.list(ctx, &segments); err != nil {
			return "", err
		}
		members = ""
		for i := range segments.Items {
			segment := &segments.Items[i]
			if missing, err := notReady(segment); err != nil || missing != "" {
				return missing, err
			}
			if segment.Status.Members == nil || *segment.Status.Members == 0 {
				return "segment/" + segment.Name + " has no members", nil
			}
			members += fmt.Sprintf("%s %s, ", segment.Name, thousands(*segment.Status.Members))
		}
		if members != before {
			before, since = members, time.Now()
		}
		if time.Since(since) < steady {
			return "the members still change", nil
		}
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("build segments: %w", err)
	}
	show.done("members: %s", members[:len(members)-2])
	return nil
}
