// Command engagement invents a campaign's opens and clicks, by people and by programs, and prints how well they are told apart.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/tertulia-crm/tertulia/hack/engagement/trace"
)

func main() {
	seed := flag.Uint64("seed", 1, "what is invented depends on this and --mails alone")
	mails := flag.Int("mails", 100_000, "how many mails the campaign has")
	flag.Parse()
	if err := trace.Judge(trace.Make(*seed, *mails)).Print(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "engagement:", err)
		os.Exit(1)
	}
}
