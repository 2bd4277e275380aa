package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// ruleTest is what `tertulia rule test` is told.
type ruleTest struct {
	ruleSource
	event, at, contact, output string
	access                     accessOptions
}

func (s *ruleSource) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.name, "rule", "", "which rule, where the file has several")
	cmd.Flags().StringSliceVar(&s.with, "with", nil,
		"a file or folder of the types that the rule speaks of; give it again for others (default: the file's folder)")
}

func newRuleTest() *cobra.Command {
	var o ruleTest
	cmd := &cobra.Command{
		Use: "test FILE [--event FILE.json] [--as CONTACT]", Short: "Try a rule with something that happens: which way it takes, what it would do, and why",
		Args: cobra.ExactArgs(1),
		Long: "Nothing is sent and nothing is written, and without --as no server is asked. Each wait is over at once, so that a journey of weeks\n" +
			"takes no time. The event is a JSON document: what happened (fields), to whom (contact, without which nobody is known), and what\n" +
			"happens later, for waits for an event:\n\n" +
			"  {\"event\": \"purchase\", \"at\": \"2027-03-21T10:00:00Z\", \"fields\": {\"amount\": 49.5},\n" +
			"   \"contact\": {\"attributes\": {\"plan\": \"club\"}, \"tags\": [\"vip\"], \"timeZone\": \"Europe/Madrid\", \"consents\": [\"newsletter\"]},\n" +
			"   \"later\": [{\"event\": \"review\", \"after\": \"3d\", \"fields\": {\"stars\": 5}}]}\n\n" +
			"A contact may also have segments, identifiers (types), events (each with at or before), messages, locale and createdAt. Which branch of a\n" +
			"split is drawn follows from the document's seed. With --as it is a contact of the tenant, by their id: as the server knows them now, as far\n" +
			"as the types beside the rule go; its token has the scope contacts:read. Of what tells who somebody is, only whether it is known is\n" +
			"shown.\n\n" +
			"Exit status: 0 when an entry begins, 1 when the rule's condition keeps it from that or something is wrong.",
		Example: "  tertulia rule test rules/review.yaml --with crm --event purchase.json\n" +
			"  tertulia rule test rules/review.yaml --as bbd0fb46-0d73-44a8-ae1e-0c14b86c427d --event purchase.json\n" +
			"  kustomize build . | tertulia rule test - --rule review --event purchase.json --at 2027-04-01T12:00:00Z -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(o.output); err != nil {
				return err
			}
			return o.run(cmd, args[0])
		},
	}
	o.addFlags(cmd)
	addOutput(cmd, &o.output)
	o.access.addFlags(cmd)
	cmd.Flags().StringVar(&o.event, "event", "", "the JSON document about what happens (required without --as)")
	cmd.Flags().StringVar(&o.contact, "as", "", "to whom it happens: the id of a contact of the tenant")
	cmd.MarkFlagsOneRequired("event", "as")
	cmd.Flags().StringVar(&o.at, "at", "", "when to stop the clock, such as 2027-04-01T12:00:00Z (default: the entry goes as far as it can)")
	return cmd
}

func (o *ruleTest) run(cmd *cobra.Command, file string) error {
	var until time.Time
	if o.at != "" {
		var err error
		if until, err = time.Parse(time.RFC3339, o.at); err != nil {
			return fmt.Errorf("--at %q is no time: write it as 2027-04-01T12:00:00Z", o.at)
		}
	}
	if file == "-" && o.event == "-" {
		return errors.New("the standard input is one document: name a file for the rule or for the event")
	}
	files, err := readRuleFiles(cmd.InOrStdin(), file, o.with)
	if err != nil {
		return err
	}
	for _, left := range files.left {
		fmt.Fprintln(cmd.ErrOrStderr(), left)
	}
	name, plan, err := files.rule(file, o.name)
	if err != nil {
		return err
	}
	document, err := o.sample(cmd, files)
	if err != nil {
		return err
	}
	sample, err := automate.ReadSample(plan, document, time.Now(), crm.ZoneOrUTC(files.zone))
	if err != nil {
		return fmt.Errorf("read %s: %w", cmp.Or(o.event, "what happens"), err)
	}
	trial, err := automate.DryRun(plan, sample, until)
	if err != nil {
		return fmt.Errorf("try rule %q: %w", name, err)
	}
	if o.output == outputJSON {
		err = printJSON(cmd.OutOrStdout(), trial)
	} else {
		err = tellTrial(cmd.OutOrStdout(), name, trial, sample.Zone)
	}
	if err == nil && !trial.Begins {
		return &verdictError{1}
	}
	return err
}

// sample reads what the rule is tried with.
func (o *ruleTest) sample(cmd *cobra.Command, files *ruleFiles) (document []byte, err error) {
	if o.event != "" {
		if document, err = readDocument(cmd.InOrStdin(), o.event); err != nil {
			return nil, err
		}
	}
	if o.contact == "" {
		return document, nil
	}
	return o.as(cmd, files, document)
}

// tellTrial prints a trial, with times as the contact's clock shows them.
func tellTrial(out io.Writer, name string, trial automate.Trial, zone *time.Location) error {
	if !trial.Begins {
		fmt.Fprintf(out, "Rule %s does not begin:\n", name)
		tellParts(out, trial.Why)
		return nil
	}
	fmt.Fprintf(out, "Rule %s begins.\n", name)
	tellParts(out, trial.Why)
	var rows bytes.Buffer
	table := tabwriter.NewWriter(&rows, 0, 0, 3, ' ', 0)
	for _, s := range trial.Steps {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", s.At.In(zone).Format("Mon 2006-01-02 15:04"), s.Step, oneLine(s.Does), howText(s.How))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for i, row := range strings.Split(strings.TrimSuffix(rows.String(), "\n"), "\n") {
		fmt.Fprintln(out, row)
		tellParts(out, trial.Steps[i].Why)
	}
	fmt.Fprintln(out)
	tellEnd(out, trial, zone)
	return nil
}

func tellParts(out io.Writer, parts []expr.Part) {
	for _, p := range parts {
		fmt.Fprintf(out, "    %s\n", oneLine(p.String()))
	}
}

func tellEnd(out io.Writer, trial automate.Trial, zone *time.Location) {
	switch {
	case trial.Cut:
		fmt.Fprintf(out, "It goes on so; %d steps are enough to see it.\n", len(trial.Steps))
	case trial.Status == automate.Waiting:
		awaits := ""
		if trial.Awaits != "" {
			awaits = trial.Awaits + ", or "
		}
		fmt.Fprintf(out, "It waits for %s%s.\n", awaits, trial.WakeAt.In(zone).Format("Mon 2006-01-02 15:04"))
	case trial.Status == automate.Exited && trial.Reason != "":
		fmt.Fprintf(out, "It is over: %s.\n", oneLine(trial.Reason))
	default:
		fmt.Fprintln(out, "It is over.")
	}
}

// howText tells in words what came of a step.
func howText(how automate.How) string {
	return map[automate.How]string{
		automate.Done: "would be done", automate.Nobody: "left out: nobody is known",
		automate.Nothing: "left out: there is nothing to answer or to assign", automate.Waits: "waits", automate.Arrived: "came",
		automate.TimedOut: "did not come", automate.Elapsed: "over", automate.Then: "yes", automate.Else: "no", automate.Drawn: "drawn",
		automate.Left: "leaves",
	}[how]
}

// oneLine keeps what a manifest says within its line: neither breaks nor what steers a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}
