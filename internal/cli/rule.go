package cli

import "github.com/spf13/cobra"

// NewRuleCommand is `tertulia rule`: what rules do.
func NewRuleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rule", Aliases: []string{"rules"}, GroupID: "use", Short: "Try and draw rules, see who goes through them, and retry or end what is stuck",
		Long: "A rule does something once for each contact or event that it is for. Nothing here changes a rule: it stands in its manifest. The tenant's\n" +
			"server answers; its tokens have the scope rules:read, and rules:write for retry and end. To try or to draw a rule of a file, none is needed.",
	}
	cmd.AddCommand(newRuleList(), newRuleShow(), newRuleTrace(), newRuleRetry(), newRuleEnd(), newRuleTest(), newRuleGraph())
	return cmd
}
