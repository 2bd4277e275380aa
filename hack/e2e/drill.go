package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// drill is something that happens to clusters. Each stands in a file of its own, and leaves the cluster as it found it.
type drill struct {
	// name is that of the drill, of its campaign and of its send.
	name string
	// done tells in a few words what is done, for the report.
	done string
	// run does it. An error is why it did not hold.
	run func(ctx context.Context, s *stage, r *result) error
}

// drills in the order in which they are run. The first one is what everything else stands on; those that lose a worker's word
// come early, because their messages are looked at again at the end, when no reply can come any more.
var drills = []drill{
	example, workerKilled, etcdWiped, workerDeleted, operatorKilled, apiServerAway, databaseRestarted, databaseCrashed, upgraded, reapplied,
	apart, uninstalled, wrongImage, namespaceStuck, databaseReadOnly, swept,
}

func printDrills() {
	for _, d := range drills {
		fmt.Printf("%-20s %s\n", d.name, d.done)
	}
}

// choose picks drills by name, in their own order; without names, all of them.
func choose(all []drill, names []string) ([]drill, error) {
	if len(names) == 0 {
		return all, nil
	}
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	var chosen []drill
	for _, d := range all {
		if wanted[d.name] {
			chosen = append(chosen, d)
			delete(wanted, d.name)
		}
	}
	for name := range wanted {
		return nil, fmt.Errorf("there is no drill %q: see --list", name)
	}
	return chosen, nil
}

// runAll runs drills one after the other. One that does not hold does not stop the others, unless the cluster does not recover.
func (s *stage) runAll(ctx context.Context, chosen []drill) []*result {
	var results []*result
	for _, d := range chosen {
		r := &result{Drill: d.name, Done: d.done, Verdict: held}
		results = append(results, r)
		s.show.say("")
		s.show.begin("%s: %s", d.name, d.done)
		begun := time.Now()
		err := d.run(ctx, s, r)
		if err == nil {
			err = s.healthy(ctx)
		}
		r.Seconds = time.Since(begun).Seconds()
		if err == nil {
			s.show.note("held: %d planned, %d received, %d ambiguous, %d still open (%.0f s)", r.Planned, r.Received, r.Ambiguous, r.Pending, r.Seconds)
			continue
		}
		r.Verdict, r.Trouble = broken, err.Error()
		s.show.note("BROKEN: %v (%.0f s)", err, r.Seconds)
		if ctx.Err() != nil {
			break
		}
		s.tellTrouble(ctx, d.name)
		if err := s.healthy(ctx); err != nil {
			s.show.note("The cluster does not recover, so the other drills would prove nothing: %v", err)
			break
		}
	}
	return results
}

// healthy waits until operators, workers and the server run as before a drill.
func (s *stage) healthy(ctx context.Context) error {
	var errs []error
	for _, want := range []struct {
		namespace, component string
		n                    int
	}{{system, "operator", operators}, {velo, "worker", workers}, {velo, "server", 1}} {
		errs = append(errs, s.awaitPods(ctx, want.namespace, want.component, want.n))
	}
	return errors.Join(errs...)
}

// tellTrouble keeps what an engineer wants to see of a cluster where something did not hold, and prints the most telling of it.
func (s *stage) tellTrouble(ctx context.Context, drill string) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	folder := s.path("trouble", drill)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		s.show.note("%v", err)
		return
	}
	keep := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			s.show.note("%v", err)
		}
	}
	for name, args := range map[string][]string{
		"objects.txt":  {"get", "crm,pods,deployments,services,networkpolicies", "--all-namespaces", "-o", "wide"},
		"pods.txt":     {"describe", "pods", "--all-namespaces"},
		"objects.yaml": {"get", "crm", "--all-namespaces", "-o", "yaml"},
		"events.txt":   {"get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"},
	} {
		text, err := s.kubectl(ctx, "", args...)
		if err != nil {
			text += err.Error()
		}
		keep(name, text)
		if name == "objects.txt" {
			s.show.say("%s", indent(text))
		}
	}
	for _, namespace := range []string{system, velo, rival} {
		for _, component := range []string{"operator", "worker", "server"} {
			s.tellLogs(ctx, namespace, component, keep)
		}
	}
	s.show.note("All of it is in %s", relative(folder))
}

// tellLogs keeps the logs of a component's pods, of containers that were restarted too, and prints their ends.
func (s *stage) tellLogs(ctx context.Context, namespace, component string, keep func(name, text string)) {
	pods, err := s.pods(ctx, namespace, component)
	if err != nil {
		s.show.note("%v", err)
		return
	}
	for _, pod := range pods {
		for _, previous := range []bool{false, true} {
			text, err := s.logs(ctx, namespace, pod.Name, 500, previous)
			if err != nil {
				continue // there is no earlier container, or none yet
			}
			name := fmt.Sprintf("%s.%s.previous=%t.log", namespace, pod.Name, previous)
			keep(name, text)
			s.show.say("%s\n%s", name, indent(lastLines(text, 12)))
		}
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ")
}
