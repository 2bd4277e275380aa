package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tertulia-crm/tertulia/internal/automate"
)

// ruleGraph is what `tertulia rule graph` is told.
type ruleGraph struct {
	accessOptions
	ruleSource
}

func newRuleGraph() *cobra.Command {
	var o ruleGraph
	cmd := &cobra.Command{
		Use: "graph {FILE | NAME}", Short: "Draw a rule as a flowchart of Mermaid", Args: cobra.ExactArgs(1),
		Long: "Draws the rule of a file, or one that is in force, of which the tenant's server tells. Forges and editors show the drawing where it stands\n" +
			"in Markdown, between ```mermaid and ```.",
		Example: "  tertulia rule graph rules/review.yaml --with crm\n  tertulia rule graph review -n velo",
		RunE: func(cmd *cobra.Command, args []string) error {
			rule, err := o.rule(cmd, args[0])
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), rule.Mermaid())
			return nil
		},
	}
	o.accessOptions.addFlags(cmd)
	o.ruleSource.addFlags(cmd)
	return cmd
}

// isFile tells whether an argument means a file, and not a rule's name.
func isFile(argument string) bool {
	if argument == "-" || slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(argument)) {
		return true
	}
	_, err := os.Stat(argument)
	return err == nil
}

func (o *ruleGraph) rule(cmd *cobra.Command, argument string) (automate.Rule, error) {
	if isFile(argument) {
		files, err := readRuleFiles(cmd.InOrStdin(), argument, o.with)
		if err != nil {
			return automate.Rule{}, err
		}
		_, plan, err := files.rule(argument, o.name)
		if err != nil {
			return automate.Rule{}, err
		}
		return plan.Rule, nil
	}
	client, err := o.client(cmd.Context())
	if err != nil {
		return automate.Rule{}, err
	}
	var told struct {
		Definition json.RawMessage `json:"definition"`
	}
	if err := client.call(cmd.Context(), http.MethodGet, rulePath(argument, ""), nil, &told); err != nil {
		return automate.Rule{}, fmt.Errorf("draw rule %q: %w", argument, err)
	}
	var rule automate.Rule
	if err := json.Unmarshal(told.Definition, &rule); err != nil {
		return automate.Rule{}, fmt.Errorf("draw rule %q: read its definition: %w", argument, err)
	}
	return rule, nil
}
