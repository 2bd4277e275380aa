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
	"github.com/tertulia-crm/tertulia/internal/local/conversation"
)

const (
	// listeningFolder declares what the demo listens to.
	listeningFolder = "hack/demo/listening"
	// conversationAddress is where it is, as that folder says.
	conversationAddress = "127.0.0.1:8091"
	monitorName         = "velo"

	// historyAge is for how long people have talked when the demo begins, and crisisAge since when they complain more than usual.
	historyAge = 35 * 24 * time.Hour
	crisisAge  = 100 * time.Minute
)

// said is when the conversation of a data directory began, so that it goes on in the next run.
type said struct {
	Since  time.Time `json:"since"`
	Crisis time.Time `json:"crisis"`
	// Complaint is when a customer complained to the shop itself; the zero time while none has.
	Complaint time.Time `json:"complaint,omitzero"`
}

// save remembers it for the next run.
func (s said) save(dataDir string) error {
	text, err := json.Marshal(s)
	if err == nil {
		err = os.MkdirAll(dataDir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dataDir, saidFile), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("remember what is said in %s: %w", relative(filepath.Join(dataDir, saidFile)), err)
	}
	return nil
}

// saidFile is where it is remembered.
const saidFile = "conversation.json"

// fresh says that the crisis goes on: in a later run it may be over.
func (s said) fresh() bool { return time.Since(s.Crisis) < 3*time.Hour }

// startTalking has people talk about the shop, on this machine.
func startTalking(dataDir string) (c *conversation.Conversation, s said, err error) {
	file := filepath.Join(dataDir, saidFile)
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if errors.Is(err, fs.ErrNotExist) {
		now := time.Now().UTC().Truncate(time.Minute)
		s = said{Since: now.Add(-historyAge), Crisis: now.Add(-crisisAge)}
		err = s.save(dataDir)
	}
	if err != nil {
		return nil, s, fmt.Errorf("read what is said in %s: %w", relative(file), err)
	}
	c, err = conversation.Start(conversation.Options{
		Listen: conversationAddress, Since: s.Since, Timeline: conversation.Timeline{Seed: 1, Crisis: s.Crisis, Complaint: s.Complaint},
	})
	return c, s, err
}

// listen waits until what was said has come in, and shows it as a person sees it.
func (d *demo) listen(ctx context.Context) error {
	d.show.begin("Listening to a feed and to a stream in the form of Bluesky's, with five weeks of history")
	var stored int64
	var monitor v1alpha1.Monitor
	err := await(ctx, func(ctx context.Context) (missing string, err error) {
		if stored, missing, err = d.storedMentions(ctx); err != nil || missing != "" {
			return missing, err
		}
		if err := d.velo.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: monitorName}, &monitor); err != nil {
			return "", fmt.Errorf("read the monitor: %w", err)
		}
		switch {
		case monitor.Status.Baseline != v1alpha1.BaselineReady:
			return "monitor/" + monitorName + " does not know yet what is usual", nil
		case d.said.fresh() && (monitor.Status.OpenIncidents == nil || *monitor.Status.OpenIncidents == 0):
			return "monitor/" + monitorName + " has not noticed the crisis", nil
		}
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	d.show.done("%s mentions; it is known what is usual", thousands(stored))
	for _, args := range [][]string{
		{"mentions", "cobrado dos veces", "--monitor", monitorName, "--limit", "2"},
		{"mentions", "--monitor", monitorName, "--topic", "velo", "--sentiment", "positive", "--lang", "en", "--limit", "1"},
		{"monitor", "incidents", monitorName, "--limit", "1"},
	} {
		if err := d.showVerb(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// storedMentions counts what the sources have brought, as their users see it.
func (d *demo) storedMentions(ctx context.Context) (stored int64, missing string, err error) {
	text, err := d.verb(ctx, "source", "list", "--output", "json").Output()
	if err != nil {
		return 0, "", fmt.Errorf("tertulia source list: %w", err)
	}
	var list struct {
		Sources []struct {
			Name, State, Message string
			Brought              int64
		}
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return 0, "", fmt.Errorf("read what tertulia source list says: %w", err)
	}
	for _, s := range list.Sources {
		if s.State != "Listening" || s.Brought == 0 {
			return 0, fmt.Sprintf("source %s is %s and has brought %d mentions: %s", s.Name, s.State, s.Brought, s.Message), nil
		}
		stored += s.Brought
	}
	if len(list.Sources) == 0 {
		return 0, "no source is in force", nil
	}
	return stored, "", nil
}

// verb is a verb of the program to show, as a person types it.
func (d *demo) verb(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, d.program, append(args, "--namespace", namespace, "--kubeconfig", d.up.ready.Kubeconfig)...)
}

// showVerb shows what a verb prints.
func (d *demo) showVerb(ctx context.Context, args ...string) error {
	command := d.verb(ctx, args...)
	command.Stdout, command.Stderr = d.show.out, d.show.out
	d.show.say("\n$ tertulia %s\n", typed(args))
	if err := command.Run(); err != nil {
		return fmt.Errorf("tertulia %s: %w", typed(args), err)
	}
	return nil
}

// typed are arguments as a person types them.
func typed(args []string) string {
	words := make([]string, len(args))
	for i, word := range args {
		if words[i] = word; strings.Contains(word, " ") {
			words[i] = "'" + word + "'"
		}
	}
	return strings.Join(words, " ")
}
