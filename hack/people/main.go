// Command people invents the customers of examples/velo: a CSV file of contacts for `tertulia import contacts` and a
// file of events, one JSON object a line, for `tertulia import events`. The same flags give the same files.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tertulia-crm/tertulia/hack/people/invent"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "people:", err)
		os.Exit(1)
	}
}

func run() error {
	contacts := flag.Int("contacts", 10_000, "how many contacts")
	events := flag.Int("events", 60_000, "how many events")
	seed := flag.Uint64("seed", 1, "another seed gives other people")
	until := flag.String("until", "2026-11-21", "the day (UTC) at whose end the last events happened")
	out := flag.String("out", ".", "the folder for contacts.csv and events.ndjson")
	flag.Parse()
	day, err := time.Parse(time.DateOnly, *until)
	if err != nil {
		return fmt.Errorf("--until %q is not a day such as 2026-11-21", *until)
	}
	population := invent.New(invent.Options{Contacts: *contacts, Events: *events, Seed: *seed, Until: day.AddDate(0, 0, 1)})
	if err := population.WriteFiles(*out); err != nil {
		return err
	}
	fmt.Printf("%d contacts in %s, %d events in %s\n",
		len(population.Contacts), filepath.Join(*out, invent.ContactsFile), len(population.Events), filepath.Join(*out, invent.EventsFile))
	return nil
}
