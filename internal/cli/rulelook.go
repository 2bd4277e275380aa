package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// ruleInfo is a rule as the API tells it.
type ruleInfo struct {
	Name         string         `json:"name"`
	Version      int            `json:"version"`
	State        string         `json:"state"`
	Trigger      string         `json:"trigger"`
	Active       int64          `json:"active"`
	Waiting      int64          `json:"waiting"`
	Stuck        int64          `json:"stuck"`
	Fired        int64          `json:"fired"`
	StuckReason  string         `json:"stuck_reason,omitempty"`
	Trouble      string         `json:"trouble,omitempty"`
	TroubleSince *time.Time     `json:"trouble_since,omitempty"`
	SavedAt      *time.Time     `json:"saved_at,omitempty"`
	Definition   map[string]any `json:"definition,omitempty"`
}

// entryInfo is an entry of a rule as the API tells it.
type entryInfo struct {
	ID       string     `json:"id"`
	Rule     string     `json:"rule"`
	Version  int        `json:"version"`
	Contact  string     `json:"contact,omitempty"`
	Event    string     `json:"event,omitempty"`
	Status   string     `json:"status"`
	Step     string     `json:"step"`
	Reason   string     `json:"reason,omitempty"`
	BeganAt  time.Time  `json:"began_at"`
	Since    time.Time  `json:"since"`
	WakeAt   *time.Time `json:"wake_at,omitempty"`
	Awaits   string     `json:"awaits,omitempty"`
	Attempts int        `json:"attempts"`
	// The numbers of those that it has.
	Conversation int64       `json:"conversation,omitempty"`
	Ticket       int64       `json:"ticket,omitempty"`
	Path         []entryStep `json:"path"`
}

type entryStep struct {
	Step string    `json:"step"`
	At   time.Time `json:"at"`
	How  string    `json:"how"`
	By   string    `json:"by,omitempty"`
	Why  string    `json:"why,omitempty"`
}

func rulePath(name, rest string) string { return "/v1/rules/" + url.PathEscape(name) + rest }

func newRuleList() *cobra.Command {
	var v segmentVerb
	return v.command(&cobra.Command{
		Use: "list", Short: "List the rules, and how many go through them", Args: cobra.NoArgs,
		Long: "WAITING entries wait for a time or an event, STUCK ones for a person, FIRED is how many ever began.",
	}, func(cmd *cobra.Command, client *tenantClient, _ []string) error {
		var list struct {
			Rules []ruleInfo `json:"rules"`
		}
		if err := client.call(cmd.Context(), http.MethodGet, "/v1/rules", nil, &list); err != nil {
			return fmt.Errorf("list the rules: %w", err)
		}
		return printList(cmd.OutOrStdout(), v.output, list, "NAME\tSTATE\tTRIGGER\tWAITING\tSTUCK\tFIRED\tTROUBLE", func(table io.Writer) {
			for _, r := range list.Rules {
				fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", r.Name, r.State, r.Trigger, r.Waiting, r.Stuck, r.Fired, r.Trouble)
			}
		})
	})
}

func newRuleShow() *cobra.Command {
	var v segmentVerb
	return v.command(&cobra.Command{
		Use: "show NAME", Short: "Tell how a rule stands", Args: cobra.ExactArgs(1), Example: "  tertulia rule show win-back",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		var r ruleInfo
		if err := client.call(cmd.Context(), http.MethodGet, rulePath(args[0], ""), nil, &r); err != nil {
			return fmt.Errorf("show rule %q: %w", args[0], err)
		}
		if v.output == outputJSON {
			return printJSON(cmd.OutOrStdout(), r)
		}
		out := cmd.OutOrStdout()
		fmt.Fprintf(out, "Rule %s, version %d: %s, on %s\n%d entries wait, %d are stuck, %d ever began\n", r.Name, r.Version, r.State, r.Trigger, r.Waiting,
			r.Stuck, r.Fired)
		if r.StuckReason != "" {
			fmt.Fprintf(out, "Stuck, mostly because: %s\n", r.StuckReason)
		}
		if r.Trouble != "" {
			fmt.Fprintf(out, "Trouble: %s\n", r.Trouble)
		}
		return nil
	})
}

func newRuleTrace() *cobra.Command {
	var v segmentVerb
	var contact, status string
	var limit int
	cmd := v.command(&cobra.Command{
		Use: "trace NAME", Short: "Show which steps entries of a rule passed", Args: cobra.ExactArgs(1),
		Long: "Lists entries, the newest first, each with its way through the rule. Contacts are told by their ids, as those of `tertulia contact`.\n" +
			"What is over is kept for 30 days.",
		Example: "  tertulia rule trace win-back --contact 7b0c2f5e-6f1d-4c55-9d0a-0d7c3a5f2c11\n  tertulia rule trace win-back --status Stuck",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		query := url.Values{}
		for name, value := range map[string]string{"contact": contact, "status": status} {
			if value != "" {
				query.Set(name, value)
			}
		}
		list, err := listPages[entryInfo](cmd.Context(), client, rulePath(args[0], "/entries"), "entries", query, limit)
		if err != nil {
			return fmt.Errorf("trace rule %q: %w", args[0], err)
		}
		if v.output == outputJSON {
			return printJSON(cmd.OutOrStdout(), map[string]any{"entries": list})
		}
		return tellEntries(cmd.OutOrStdout(), list)
	})
	flags := cmd.Flags()
	flags.StringVar(&contact, "contact", "", "only the entries of the contact with this id")
	flags.StringVar(&status, "status", "", "only entries that stand so: Waiting, Stuck, Ended or Exited")
	flags.IntVar(&limit, "limit", 20, "how many to list at most")
	return cmd
}

func tellEntries(out io.Writer, list []entryInfo) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "no entries")
		return err
	}
	for _, e := range list {
		fmt.Fprintf(out, "Entry %s of %s, version %d: %s at %s since %s", e.ID, nonEmpty(e.Contact, "nobody known"), e.Version, e.Status, e.Step,
			e.Since.Local().Format(replayTime))
		if e.Reason != "" {
			fmt.Fprintf(out, " (%s)", e.Reason)
		}
		switch {
		case e.Awaits != "" && e.WakeAt != nil:
			fmt.Fprintf(out, ", waits for %s until %s", e.Awaits, e.WakeAt.Local().Format(replayTime))
		case e.WakeAt != nil:
			fmt.Fprintf(out, ", until %s", e.WakeAt.Local().Format(replayTime))
		}
		fmt.Fprintf(out, "\n  began %s with %s", e.BeganAt.Local().Format(replayTime), nonEmpty(e.Event, "another rule"))
		if e.Conversation != 0 {
			fmt.Fprintf(out, ", conversation %d", e.Conversation)
		}
		if e.Ticket != 0 {
			fmt.Fprintf(out, ", ticket %d", e.Ticket)
		}
		fmt.Fprintln(out)
		for _, p := range e.Path {
			line := fmt.Sprintf("  %s  %-12s %s", p.At.Local().Format(replayTime), p.How, p.Step)
			if p.By != "" {
				line += ", by " + p.By + ": " + p.Why
			}
			fmt.Fprintln(out, strings.TrimRight(line, " "))
		}
	}
	return nil
}

func nonEmpty(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// entryDecision is what a person decides of an entry.
type entryDecision struct {
	Verb   string `json:"verb,omitempty"`
	By     string `json:"by"`
	Reason string `json:"reason"`
}

func (d *entryDecision) addFlags(cmd *cobra.Command) {
	who := ""
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	cmd.Flags().StringVar(&d.By, "by", who, "who decides; recorded")
	cmd.Flags().StringVar(&d.Reason, "reason", "", "why, in at least three letters; recorded")
	_ = cmd.MarkFlagRequired("reason")
}

func newRuleRetry() *cobra.Command {
	var v segmentVerb
	var d entryDecision
	cmd := v.command(&cobra.Command{
		Use: "retry NAME [ENTRY]", Short: "Try the step again at which entries are stuck", Args: cobra.RangeArgs(1, 2),
		Long:    "Without ENTRY, all that are stuck, at most 10,000 at once. A step that is tried again does nothing twice.",
		Example: "  tertulia rule retry win-back --reason 'the template is mended'",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		if len(args) == 2 {
			return d.decide(cmd, client, "retry", args)
		}
		var out struct {
			Retried int64 `json:"retried"`
		}
		if err := client.call(cmd.Context(), http.MethodPost, rulePath(args[0], "/retries"), d, &out); err != nil {
			return fmt.Errorf("retry what is stuck of rule %q: %w", args[0], err)
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%d entries are tried again\n", out.Retried)
		return err
	})
	d.addFlags(cmd)
	return cmd
}

func newRuleEnd() *cobra.Command {
	var v segmentVerb
	var d entryDecision
	cmd := v.command(&cobra.Command{
		Use: "end NAME ENTRY", Short: "End an entry that waits or is stuck", Args: cobra.ExactArgs(2),
		Example: "  tertulia rule end win-back 1d2f6a70-… --reason 'the customer called'",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		return d.decide(cmd, client, "end", args)
	})
	d.addFlags(cmd)
	return cmd
}

func (d *entryDecision) decide(cmd *cobra.Command, client *tenantClient, verb string, args []string) error {
	d.Verb = verb
	if err := client.call(cmd.Context(), http.MethodPost, rulePath(args[0], "/entries/"+url.PathEscape(args[1])+"/commands"), d, nil); err != nil {
		return fmt.Errorf("%s entry %s of rule %q: %w", verb, args[1], args[0], err)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), "done")
	return err
}
