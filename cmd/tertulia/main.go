// Command tertulia is every process and every verb of Tertulia in one binary.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // schedules and contacts have zones, and minimal images have no database of them

	"github.com/tertulia-crm/tertulia/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := cli.NewCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tertulia:", err)
		os.Exit(1)
	}
}
