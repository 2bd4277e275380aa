package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// monitorInfo is a monitor as the API tells it.
type monitorInfo struct {
	Name          string         `json:"name"`
	Suspended     bool           `json:"suspended"`
	Baseline      string         `json:"baseline"`
	Topics        []monitorTopic `json:"topics"`
	OpenIncidents int            `json:"open_incidents"`
	Mentions24h   int64          `json:"mentions_24h"`
	Negatives24h  int64          `json:"negatives_24h"`
}

type monitorTopic struct {
	Name        string     `json:"name"`
	Role        string     `json:"role"`
	State       string     `json:"state"`
	EvaluatedTo *time.Time `json:"evaluated_to,omitempty"`
}

// topicShare is how much a topic is talked of beside others.
type topicShare struct {
	Topic      string   `json:"topic"`
	Role       string   `json:"role"`
	Mentions   int64    `json:"mentions"`
	Negatives  int64    `json:"negatives"`
	Positives  int64    `json:"positives"`
	Engagement int64    `json:"engagement"`
	Share      *float64 `json:"share,omitempty"`
}

type sourceShare struct {
	Topic      string  `json:"topic"`
	Source     string  `json:"source"`
	Mentions   int64   `json:"mentions"`
	Engagement int64   `json:"engagement"`
	PerMention float64 `json:"per_mention"`
}

type responseInfo struct {
	Asked         int64    `json:"asked"`
	Answered      int64    `json:"answered"`
	Waiting       int64    `json:"waiting"`
	Median        *float64 `json:"median_seconds,omitempty"`
	P90           *float64 `json:"p90_seconds,omitempty"`
	OldestWaiting *float64 `json:"oldest_waiting_seconds,omitempty"`
}

// risingTerm is a word that is used more than usual.
type risingTerm struct {
	Term     string  `json:"term"`
	Mentions int     `json:"mentions"`
	Authors  int     `json:"authors"`
	Usual    float64 `json:"usual"`
	Score    float64 `json:"score"`
}

func monitorPath(name, verb string) string {
	path := "/v1/monitors/" + url.PathEscape(name)
	if verb != "" {
		path += "/" + verb
	}
	return path
}

func newMonitorList() *cobra.Command {
	var v segmentVerb
	return v.command(&cobra.Command{
		Use: "list", Short: "List the monitors in force: whether they know what is usual, and what is going on", Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, client *tenantClient, _ []string) error {
		var list struct {
			Monitors []monitorInfo `json:"monitors"`
		}
		if err := client.call(cmd.Context(), http.MethodGet, "/v1/monitors", nil, &list); err != nil {
			return fmt.Errorf("list the monitors: %w", err)
		}
		header := "NAME\tTOPICS\tBASELINE\tMENTIONS 24H\tNEGATIVE\tOPEN INCIDENTS"
		return printList(cmd.OutOrStdout(), v.output, list, header, func(table io.Writer) {
			for _, m := range list.Monitors {
				fmt.Fprintf(table, "%s\t%d\t%s\t%d\t%s\t%d\n", m.Name, len(m.Topics), m.baseline(), m.Mentions24h,
					partText(m.Negatives24h, m.Mentions24h), m.OpenIncidents)
			}
		})
	})
}

func (m *monitorInfo) baseline() string {
	if m.Suspended {
		return "suspended"
	}
	return m.Baseline
}

// partText is how many of a hundred.
func partText(part, of int64) string {
	if of <= 0 {
		return "-"
	}
	return strconv.FormatInt((200*part+of)/(2*of), 10) + " %"
}

// windowFlags say which time is looked at.
type windowFlags struct{ since, until string }

func (w *windowFlags) addFlags(cmd *cobra.Command, usual string) {
	cmd.Flags().StringVar(&w.since, "since", usual, "from when: a duration, such as 6h or 7d, a date or a time (2026-11-22T10:00:00Z)")
	cmd.Flags().StringVar(&w.until, "until", "", "until when (default: now)")
}

// query is the window as the API reads it.
func (w *windowFlags) query(now time.Time) (url.Values, error) {
	query := url.Values{}
	return query, w.addTo(query, now)
}

// addTo adds the time to what the API is asked.
func (w *windowFlags) addTo(query url.Values, now time.Time) error {
	for _, bound := range []struct{ flag, parameter, value string }{{"--since", "from", w.since}, {"--until", "to", w.until}} {
		if bound.value == "" {
			continue
		}
		at, err := pastTime(bound.value, now)
		if err != nil {
			return fmt.Errorf("%s: %w", bound.flag, err)
		}
		query.Set(bound.parameter, at.UTC().Format(time.RFC3339))
	}
	return nil
}

// shownMonitor is all that `monitor show` tells.
type shownMonitor struct {
	Monitor    monitorInfo   `json:"monitor"`
	Share      []topicShare  `json:"share_of_voice"`
	Engagement []sourceShare `json:"engagement"`
	Responses  responseInfo  `json:"responses"`
	Terms      []risingTerm  `json:"rising_terms"`
}

func newMonitorShow() *cobra.Command {
	var v segmentVerb
	var window windowFlags
	cmd := v.command(&cobra.Command{
		Use: "show NAME", Short: "Show a monitor: its topics, share of voice, engagement, answers and rising terms",
		Long: "The share of voice compares the topics of the brand with those of competitors. RISING TERMS are words of today that are used more than on\n" +
			"the days before, by several people.",
		Args: cobra.ExactArgs(1), Example: "  tertulia monitor show velo --since 7d -n velo",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		query, err := window.query(time.Now())
		if err != nil {
			return err
		}
		var shown shownMonitor
		for _, part := range []struct {
			path string
			into any
		}{
			{monitorPath(args[0], ""), &shown},
			{monitorPath(args[0], "share") + "?" + query.Encode(), &struct {
				Topics *[]topicShare `json:"topics"`
			}{&shown.Share}},
			{monitorPath(args[0], "engagement") + "?" + query.Encode(), &struct {
				Sources *[]sourceShare `json:"sources"`
			}{&shown.Engagement}},
			{monitorPath(args[0], "responses") + "?" + query.Encode(), &shown.Responses},
		} {
			if err := client.call(cmd.Context(), http.MethodGet, part.path, nil, part.into); err != nil {
				return fmt.Errorf("show monitor %q: %w", args[0], err)
			}
		}
		if err := shown.readTerms(cmd.Context(), client); err != nil {
			return fmt.Errorf("show monitor %q: %w", args[0], err)
		}
		if v.output == outputJSON {
			return printStrangers(cmd.OutOrStdout(), shown)
		}
		return tellMonitor(cmd.OutOrStdout(), shown)
	})
	window.addFlags(cmd, "7d")
	return cmd
}

// readTerms asks what rises of the brand's topics.
func (s *shownMonitor) readTerms(ctx context.Context, client *tenantClient) error {
	for _, t := range s.Monitor.Topics {
		if t.Role != "Brand" {
			continue
		}
		var rising struct {
			Terms []risingTerm `json:"terms"`
		}
		if err := client.call(ctx, http.MethodGet, monitorPath(s.Monitor.Name, "terms")+"?topic="+url.QueryEscape(t.Name), nil, &rising); err != nil {
			return err
		}
		s.Terms = append(s.Terms, rising.Terms...)
	}
	slices.SortStableFunc(s.Terms, func(a, b risingTerm) int { return cmp.Compare(b.Score, a.Score) })
	s.Terms = s.Terms[:min(len(s.Terms), mostTerms)]
	return nil
}

// mostTerms is how many rising terms are shown.
const mostTerms = 10

func tellMonitor(out io.Writer, shown shownMonitor) error {
	m := shown.Monitor
	fmt.Fprintf(out, "Monitor %s: baseline %s, %d open incidents, %d mentions in 24 hours, %s of them negative\n", m.Name, m.baseline(), m.OpenIncidents,
		m.Mentions24h, partText(m.Negatives24h, m.Mentions24h))
	states := map[string]monitorTopic{}
	for _, t := range m.Topics {
		states[t.Name] = t
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "\nTOPIC\tROLE\tSTATE\tMENTIONS\tNEGATIVE\tPOSITIVE\tSHARE OF VOICE\tENGAGEMENT")
	for _, t := range shown.Share {
		share := "-"
		if t.Share != nil {
			share = fmt.Sprintf("%.0f %%", 100**t.Share)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%d\n", t.Topic, t.Role, states[t.Topic].State, t.Mentions, partText(t.Negatives, t.Mentions),
			partText(t.Positives, t.Mentions), share, t.Engagement)
	}
	if len(shown.Terms) > 0 {
		fmt.Fprintln(table, "\nRISING TERM\tMENTIONS\tAUTHORS\tUSUALLY")
	}
	for _, t := range shown.Terms {
		fmt.Fprintf(table, "%s\t%d\t%d\t%.1f\n", plainLine(t.Term, nameCells), t.Mentions, t.Authors, t.Usual)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if r := shown.Responses; r.Asked > 0 {
		fmt.Fprintf(out, "\n%d asked, %d were answered (half of them within %s), %d wait\n", r.Asked, r.Answered, secondsText(r.Median), r.Waiting)
	}
	return nil
}

// seriesInfo is a series of counts, as the API tells it.
type seriesInfo struct {
	Monitor  string        `json:"monitor"`
	Topics   []string      `json:"topics"`
	Step     string        `json:"step"`
	TimeZone string        `json:"time_zone"`
	Points   []seriesPoint `json:"points"`
}

type seriesPoint struct {
	Start      time.Time `json:"start"`
	Mentions   int64     `json:"mentions"`
	Negatives  int64     `json:"negatives"`
	Positives  int64     `json:"positives"`
	Engagement int64     `json:"engagement"`
}

func newMonitorSeries() *cobra.Command {
	var v segmentVerb
	var window windowFlags
	var step, topic, source string
	cmd := v.command(&cobra.Command{
		Use: "series NAME", Short: "Print how much was said in each step of time, and how",
		Args: cobra.ExactArgs(1),
		Example: "  tertulia monitor series velo --step 1h --since 2d\n" +
			"  tertulia monitor series velo --step 5m --since 6h --topic velo --output json",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		query, err := window.query(time.Now())
		if err != nil {
			return err
		}
		for name, value := range map[string]string{"step": step, "topic": topic, "source": source} {
			if value != "" {
				query.Set(name, value)
			}
		}
		var series seriesInfo
		if err := client.call(cmd.Context(), http.MethodGet, monitorPath(args[0], "series")+"?"+query.Encode(), nil, &series); err != nil {
			return fmt.Errorf("read the series of monitor %q: %w", args[0], err)
		}
		most := int64(1)
		for _, p := range series.Points {
			most = max(most, p.Mentions)
		}
		screen := screenOf(cmd.OutOrStdout())
		return printList(cmd.OutOrStdout(), v.output, series, "TIME ("+series.TimeZone+")\tMENTIONS\tNEGATIVE\tPOSITIVE\tENGAGEMENT\t", func(table io.Writer) {
			for _, p := range series.Points {
				fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%s\n", p.Start.Format(replayTime), p.Mentions, p.Negatives, p.Positives, p.Engagement,
					bars(screen, p, most))
			}
		})
	})
	window.addFlags(cmd, "24h")
	cmd.Flags().StringVar(&step, "step", "1h", "how long a step is: 5m, 1h or 1d")
	cmd.Flags().StringVar(&topic, "topic", "", "of one topic (default: those of the brand, together)")
	cmd.Flags().StringVar(&source, "source", "", "of what one source brought (default: all)")
	return cmd
}

// barCells is how long the longest bar is.
const barCells = 30

// bars draw the negative mentions of a step before the others.
func bars(s screen, p seriesPoint, most int64) string {
	cells := func(n int64) int { return int((n*barCells + most/2) / most) }
	negative := cells(p.Negatives)
	return s.paint("31", repeated("▇", negative)) + s.paint("2", repeated("▁", cells(p.Mentions)-negative))
}

func repeated(sign string, n int) string {
	text := ""
	for range max(0, n) {
		text += sign
	}
	return text
}

func newMonitorBackfill() *cobra.Command {
	var v segmentVerb
	var topic string
	cmd := v.command(&cobra.Command{
		Use: "backfill NAME COUNTS.csv", Short: "Tell a monitor how much was said before it began, so that it knows at once what is usual",
		Long: `Fills in counts of the past. The file is one of those that ` + "`tertulia monitor replay`" + ` plays: columns time, mentions, negatives and
authors, a line for 5 minutes or another part of an hour; times without a zone are of the monitor's. They stand for what was counted in
these steps before; what is said since the topic was declared is counted by mentions alone. Alarms of the past are noted as history, and
raise nothing. "-" is the standard input.

The tenant's server answers; its token has the scope monitors:write.`,
		Args: cobra.ExactArgs(2), Example: "  tertulia monitor backfill velo counts.csv --topic velo",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		in := cmd.InOrStdin()
		if args[1] != "-" {
			file, err := os.Open(args[1])
			if err != nil {
				return fmt.Errorf("read the counts: %w", err)
			}
			defer func() { _ = file.Close() }()
			in = file
		}
		path := monitorPath(args[0], "counts")
		if topic != "" {
			path += "?topic=" + url.QueryEscape(topic)
		}
		return backfill(cmd, client, path, in, v.output)
	})
	cmd.Flags().StringVar(&topic, "topic", "", "whose counts they are (default: the brand's, where there is one topic of it)")
	return cmd
}
