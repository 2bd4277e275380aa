package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// The forms of output.
const (
	outputText = "text"
	outputJSON = "json"
)

func addOutput(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", outputText, `what standard output says: "text", or "json" for one line`)
}

func checkOutput(output string) error {
	if output != outputText && output != outputJSON {
		return errors.New(`--output must be "text" or "json"`)
	}
	return nil
}

func printJSON(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// printList prints a list that the API gave: as JSON, or as a table, of which rows writes the lines, their cells between tabs.
func printList(w io.Writer, output string, list any, header string, rows func(table io.Writer)) error {
	if output == outputJSON {
		return printJSON(w, list)
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, header)
	rows(table)
	return table.Flush()
}
