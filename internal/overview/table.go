package overview

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table writes a line for each tenant.
func Table(w io.Writer, o Overview, look Look) error {
	if look.Width == 0 {
		look.Width = 100
	}
	var text strings.Builder
	if p := o.Operator; p != nil {
		fmt.Fprintf(&text, "operator: %d of %d ready, %s, in namespace %s\n", p.Ready, p.Desired, printable(strings.Join(p.Versions, " and ")), p.Namespace)
	}
	for _, p := range o.Problems {
		fmt.Fprintf(&text, "operator: %s\n", printable(p.Message))
	}
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAMESPACE\tTENANT\tWORKERS\tSERVERS\tSENDING\tWAITS\tWRONG\tWHAT")
	for _, t := range o.Tenants {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", t.Namespace, t.ID, share(t.Workers), share(t.Servers),
			len(t.Sending), len(t.Waiting), len(t.Problems), firstProblem(t))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(o.Unseen) > 0 {
		fmt.Fprintf(&text, "You may not see, so nothing is said of: %s.\n", printable(strings.Join(o.Unseen, ", ")))
	}
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(cut(strings.TrimSuffix(line, "\n"), look.Width), " ")); err != nil {
			return err
		}
	}
	return nil
}

// share is how many of how many processes are ready.
func share(p *Process) string {
	if p == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d", p.Ready, p.Desired)
}

// firstProblem is the most urgent one in a line's last column.
func firstProblem(t Tenant) string {
	switch {
	case len(t.Problems) > 0:
		p := t.Problems[0]
		return printable(fmt.Sprintf("%s %s: %s", p.Kind, strings.Join(p.Names[:min(len(p.Names), mostNames)], ", "), p.Reason))
	case t.Suspended:
		return "suspended"
	}
	return ""
}
