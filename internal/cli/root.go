// Package cli holds the verbs of the tertulia command, a file each.
package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "unknown"

// NewCommand is the tertulia command. A verb that ended its own output with an explanation returns an error all the same:
// main decides about the exit status.
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
