package cli

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// tellQuarantine says how things stand, to people or to programs.
func tellQuarantine(w io.Writer, info quarantineInfo, output string) error {
	if output == outputJSON {
		return printJSON(w, info)
	}
	fmt.Fprintln(w, planHeadline(info))
	if q := info.Quarantine; q != nil && q.ClosedAt == nil {
		fmt.Fprintf(w, "%s\n%s\n", q.Why, planMissing(info))
	}
	if q := info.Quarantine; q != nil && q.Release != nil {
		fmt.Fprintf(w, "Released %s by %s (token %q): %s\n", moment(q.Release.At), q.Release.By, q.Release.Token, q.Release.Reason)
	}
	if len(info.Campaigns) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "CAMPAIGN\tCLUSTER KNEW\tLEDGER KNOWS\tWOULD SEND\t")
	for _, c := range info.Campaigns {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", c.name(), planNumbers(c.Cluster), planNumbers(c.Ledger), c.WouldSend, planRemark(c))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if info.State == ledgerQuarantined {
		fmt.Fprintln(w, "\n`tertulia quarantine release --reason …` goes on and holds these campaigns; --continue NAME or --continue-all lets them go on.")
	} else {
		fmt.Fprintln(w, "\n`tertulia quarantine resume --campaign NAME --reason …` sends what is pending of a held campaign.")
	}
	return nil
}

func planHeadline(info quarantineInfo) string {
	switch info.State {
	case ledgerPermitted:
		return "Not quarantined: the ledger may be sent from."
	case ledgerQuarantined:
		return fmt.Sprintf("Quarantined since %s: nothing is sent until a person decides.", moment(info.Quarantine.Since))
	case ledgerReleased:
		return "Released: the operator puts the decision in force within seconds. Nothing is sent before."
	}
	return "Nothing is sent: the database holds another ledger than the one that was permitted, and the operator has not looked at it yet. Is it running?"
}

func planMissing(info quarantineInfo) string {
	q := info.Quarantine
	switch {
	case q.Missing == nil:
		return "How many messages this ledger has forgotten is not known: the cluster remembers none of it."
	case *q.Missing > 0:
		return fmt.Sprintf("Missing: of the %d intents that the cluster remembers, this ledger does not know %d. Up to ten seconds' sending before the loss "+
			"may be missing besides.", *q.KnownMark, *q.Missing)
	}
	return "As far as the cluster knows nothing is missing; up to ten seconds' sending before the loss may be, " +
		"and more where the operator was not running then."
}

func planNumbers(n *campaignNumbers) string {
	if n == nil {
		return "nothing"
	}
	text := fmt.Sprintf("%s, %d of %d sent", n.Phase, n.Sent, n.Planned)
	for _, more := range []struct {
		n    int64
		word string
	}{{n.Failed, "failed"}, {n.Ambiguous, "ambiguous"}, {n.Skipped, "skipped"}} {
		if more.n > 0 {
			text += fmt.Sprintf(", %d %s", more.n, more.word)
		}
	}
	return text
}

func planRemark(c quarantinedCampaign) string {
	switch {
	case c.Held:
		return "held"
	case c.Differs && c.Due:
		return "differs, would send at once"
	case c.Differs:
		return "differs"
	case c.Due:
		return "would send at once"
	}
	return ""
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
