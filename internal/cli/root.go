// Package cli holds the verbs of the tertulia command, a file each.
package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "unknown"

// Main runs the tertulia command with this process's arguments and returns the exit status. Here alone SIGINT and SIGTERM
// become the end of a context; `up` adds the end of its terminal.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := NewCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "tertulia:", err)
		return 1
	}
	return 0
}

// NewCommand is the tertulia command. A verb that ended its own output with an explanation returns an error all the same:
// Main decides about the exit status.
func NewCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "tertulia",
		Short: "A Social CRM whose whole configuration lives in Git",
		Long: "Tertulia is a Social CRM whose campaigns, segments and channels are Kubernetes objects, and whose people live in PostgreSQL.\n\n" +
			"On a machine of your own, `tertulia up` runs all of it.",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate(fmt.Sprintf("tertulia %s\n", version))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; %s --help lists the flags", err, cmd.CommandPath())
	})
	root.AddGroup(
		&cobra.Group{ID: "use", Title: "For people:"},
		&cobra.Group{ID: "run", Title: "Processes, which up and the cluster start:"},
	)
	root.AddCommand(
		NewUpCommand(), NewImportCommand(), NewTokenCommand(),
		NewOperatorCommand(), NewWorkerCommand(), NewServerCommand(),
	)
	return root
}
