// Command demo plays the example of examples/velo from nothing to delivered mail: it starts everything with
// `tertulia up`, imports invented customers, merges a campaign as a pull request would, checks that every message that
// counts as sent is in the mailbox once, listens to what people say about the shop, answers one who complains, and stays up for you to look around.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tertulia-crm/tertulia/internal/local/conversation"
)

const (
	namespace      = "velo"
	tenantID       = "velo-demo"
	campaignName   = "winter-2026"
	laterCampaign  = "club-rides-2026" // of the same day: a policy keeps those of the first from getting it
	standingFolder = "examples/velo/crm"
	pullRequests   = "examples/velo/campaigns"
	rulesFolder    = "examples/velo/rules"

	// stopTimeout bounds the end of what this process serves itself.
	stopTimeout = 10 * time.Second
)

// options are what the flags say.
type options struct {
	once     bool
	dataDir  string // absolute
	program  string
	contacts int
	events   int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o options
	flag.BoolVar(&o.once, "once", false, "leave when everything is delivered and checked")
	flag.StringVar(&o.dataDir, "data-dir", ".demo", "where control plane, database and mailbox keep their data, for the next time too")
	flag.StringVar(&o.program, "program", "bin/tertulia", "the binary to show")
	flag.IntVar(&o.contacts, "contacts", 10_000, "how many customers to invent")
	flag.IntVar(&o.events, "events", 60_000, "how many events they cause")
	flag.Parse()
	var err error
	if o.dataDir, err = filepath.Abs(o.dataDir); err != nil {
		return fmt.Errorf("find the data directory: %w", err)
	}
	if _, err := os.Stat(standingFolder); err != nil {
		return errors.New("start the demo in the repository's top folder, best with `make demo`")
	}
	return play(ctx, o)
}

// demo is what the scenes of the play share.
type demo struct {
	options
	show *narrator
	up   *upProcess
	velo *cluster
	// peopleChanged is when the last import that brought something new began; the zero time while none has.
	peopleChanged time.Time
	// merged are the campaigns that this run has merged.
	merged map[string]bool
	// said is since when people talk about the shop, and talk is where.
	said said
	talk *conversation.Conversation
	// delivered is how long it took until the mail was delivered.
	delivered string
}

// play runs the scenes in order.
func play(ctx context.Context, o options) (err error) {
	d := &demo{options: o, show: newNarrator(os.Stdout), merged: map[string]bool{}}
	d.show.say("From a directory of manifests to delivered mail, and to what people say about it: %s\n", filepath.Dir(standingFolder))

	talk, said, err := startTalking(o.dataDir)
	if err != nil {
		return err
	}
	d.said, d.talk = said, talk
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, talk.Stop(stopping))
	}()
	if d.up, err = startUp(ctx, d.show, o); err != nil {
		return err
	}
	// From here on everything ends when `tertulia up` does, and the other way round.
	ctx = d.up.context(ctx)
	defer func() {
		d.show.say("\nStopping; the data stays in %s.", relative(o.dataDir))
		err = errors.Join(err, d.up.stop())
	}()

	if d.velo, err = connect(d.up.ready.Kubeconfig); err != nil {
		return err
	}
	for _, scene := range []func(context.Context) error{
		d.awaitConfiguration, d.importPeople, d.awaitSegments, d.sendFirst, d.sendLater, d.signUp, d.winBack, d.compareMail,
		d.listen, d.answer, d.printTables,
	} {
		if err := scene(ctx); err != nil {
			return explain(ctx, err)
		}
	}
	if o.once {
		return nil
	}
	d.printTour()
	<-ctx.Done()
	return d.up.died()
}

// explain prefers the reason why everything was cancelled to its consequences.
func explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// relative is a path as the reader would type it.
func relative(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	short, err := filepath.Rel(here, path)
	if err != nil || len(short) >= len(path) {
		return path
	}
	return short
}
