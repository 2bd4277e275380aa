package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// incidentInfo is an incident as the API tells it.
type incidentInfo struct {
	ID          string           `json:"id"`
	Topic       string           `json:"topic"`
	FromHistory bool             `json:"from_history"`
	Began       time.Time        `json:"began"`
	Opened      time.Time        `json:"opened"`
	LastUnusual time.Time        `json:"last_unusual"`
	Closed      *time.Time       `json:"closed,omitempty"`
	Ending      string           `json:"ending,omitempty"`
	Rule        string           `json:"rule"`
	Evidence    incidentEvidence `json:"evidence"`
	Peak        int              `json:"peak"`
	PeakUsual   float64          `json:"peak_usual"`
	Drivers     incidentDrivers  `json:"drivers"`
}

type incidentEvidence struct {
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	Mentions   int       `json:"mentions"`
	Negatives  int       `json:"negatives"`
	Usual      float64   `json:"usual"`
	Authors    int       `json:"authors"`
	Share      float64   `json:"share"`
	UsualShare float64   `json:"usual_share"`
}

type incidentDrivers struct {
	Terms   []risingTerm     `json:"terms"`
	Sources []incidentSource `json:"sources"`
	Samples []string         `json:"samples"`
}

type incidentSource struct {
	Source    string `json:"source"`
	Negatives int64  `json:"negatives"`
}

func newMonitorIncidents() *cobra.Command {
	var v segmentVerb
	var open bool
	var limit int
	cmd := v.command(&cobra.Command{
		Use: "incidents NAME", Short: "List the bursts of negative mentions, the newest first, and what drives them",
		Long: "BEGAN is since when there were more than usual, as far as can be told, OPENED when that was clear. Samples are ids for\n" +
			"`tertulia mentions show`.",
		Args: cobra.ExactArgs(1), Example: "  tertulia monitor incidents velo --open",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		if limit < 1 || limit > 1000 {
			return fmt.Errorf("--limit is from 1 to 1000")
		}
		query := url.Values{}
		if open {
			query.Set("open", "true")
		}
		list, err := listPages[incidentInfo](cmd.Context(), client, monitorPath(args[0], "incidents"), "incidents", query, limit)
		if err != nil {
			return fmt.Errorf("list the incidents of monitor %q: %w", args[0], err)
		}
		if v.output == outputJSON {
			return printStrangers(cmd.OutOrStdout(), map[string]any{"incidents": list})
		}
		return tellIncidents(cmd.OutOrStdout(), list)
	})
	cmd.Flags().BoolVar(&open, "open", false, "only those that go on")
	cmd.Flags().IntVar(&limit, "limit", 20, "how many to list at most, up to 1000")
	return cmd
}

func tellIncidents(out io.Writer, list []incidentInfo) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "no incidents")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "TOPIC\tOPENED\tBEGAN\tOVER\tRULE\tNEGATIVE\tUSUAL\tAUTHORS\tSHARE\tPEAK/HOUR")
	for _, i := range list {
		e := i.Evidence
		opened, began := i.Opened.Local().Format(replayTime), i.Began.Local().Format(replayTime)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d in %v\t%.1f\t%d\t%.0f %%\t%d\n", i.Topic, opened, began, i.over(),
			i.Rule, e.Negatives, e.To.Sub(e.From), e.Usual, e.Authors, 100*e.Share, i.Peak)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, i := range list {
		i.tellDrivers(out)
	}
	return nil
}

// over tells when an incident was over, and how.
func (i *incidentInfo) over() string {
	switch {
	case i.Closed == nil:
		return "still open"
	case i.Ending == "BecameUsual":
		return "became usual"
	}
	return i.LastUnusual.Local().Format(replayTime)
}

// How much of what drives an incident is shown. --output json has all of it.
const (
	mostDrivers = 6
	mostSamples = 3
)

func (i *incidentInfo) tellDrivers(out io.Writer) {
	d := i.Drivers
	if len(d.Terms)+len(d.Sources)+len(d.Samples) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s, opened %s\n", i.Topic, i.Opened.Local().Format(replayTime))
	var terms, sources []string
	for _, t := range d.Terms[:min(len(d.Terms), mostDrivers)] {
		terms = append(terms, fmt.Sprintf("%s (%d by %d)", plainLine(t.Term, nameCells), t.Mentions, t.Authors))
	}
	for _, s := range d.Sources {
		sources = append(sources, fmt.Sprintf("%s %d", s.Source, s.Negatives))
	}
	for _, row := range []struct {
		name  string
		words []string
	}{{"terms", terms}, {"sources", sources}, {"samples", d.Samples[:min(len(d.Samples), mostSamples)]}} {
		if len(row.words) > 0 {
			fmt.Fprintf(out, "  %-8s %s\n", row.name, strings.Join(row.words, ", "))
		}
	}
}

// backfill sends a file of counts, and tells what became of it.
func backfill(cmd *cobra.Command, client *tenantClient, path string, counts io.Reader, output string) error {
	answer, err := client.send(cmd.Context(), http.MethodPost, path, "text/csv", counts)
	if err != nil {
		return fmt.Errorf("fill in the counts: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	var filled struct {
		Topic    string    `json:"topic"`
		Steps    int       `json:"steps"`
		Skipped  int       `json:"skipped"`
		From     time.Time `json:"from"`
		To       time.Time `json:"to"`
		BadLines []struct {
			Line  int    `json:"line"`
			Error string `json:"error"`
		} `json:"bad_lines"`
		BadCount int `json:"bad_count"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&filled); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	for _, bad := range filled.BadLines {
		fmt.Fprintf(cmd.ErrOrStderr(), "line %d: %s\n", bad.Line, plainLine(bad.Error, 0))
	}
	if rest := filled.BadCount - len(filled.BadLines); rest > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "and %d lines more that cannot be read\n", rest)
	}
	if output == outputJSON {
		err = printJSON(cmd.OutOrStdout(), filled)
	} else {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d steps of 5 minutes filled in, from %s to %s; %d since the topic was declared are left out\n",
			filled.Topic, filled.Steps, filled.From.Local().Format(replayTime), filled.To.Local().Format(replayTime), filled.Skipped)
	}
	if err == nil && filled.BadCount > 0 {
		return &verdictError{status: 1}
	}
	return err
}
