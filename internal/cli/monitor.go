package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tertulia-crm/tertulia/internal/monitor"
)

// NewMonitorCommand is `tertulia monitor`: bursts of negative mentions.
func NewMonitorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "monitor", Aliases: []string{"monitors"}, GroupID: "use", Short: "See how you are talked of, and when that raised an alarm or would have",
		Long: "A monitor counts what is said about its topics, learns how many negative mentions are usual at each hour and raises an alarm when there\n" +
			"are more. Nothing here changes a monitor: it stands in its manifest. But for replay, which needs none, the tenant's server answers;\n" +
			"its tokens have the scope monitors:read, or mentions:read for influence, which names people.",
	}
	cmd.AddCommand(newMonitorList(), newMonitorShow(), newMonitorSeries(), newMonitorIncidents(), newMonitorInfluence(), newMonitorBackfill(),
		newMonitorReplay())
	return cmd
}

// replayOptions are what `tertulia monitor replay` is told.
type replayOptions struct {
	output, zone string
	config       monitor.Config
}

func newMonitorReplay() *cobra.Command {
	var o replayOptions
	cmd := &cobra.Command{
		Use: "replay COUNTS.csv", Short: "Print the alarms that counts of the past would have raised",
		Long: `Plays a history of counts to a monitor that knows nothing before it, and prints each alarm that it raises.

The first line of the file names the columns time, mentions, negatives and authors; a line holds the counts of the time that begins
at time, up to the next one: 5 minutes, or another part of an hour. Negatives are counted among the mentions. Times are written as
2026-11-22T10:05:00Z, or as 2026-11-22 10:05 in the zone of --time-zone. A time without a line is a gap, of which nothing is known: where
nothing was mentioned, write a line with zeros.

The first 7 days are learned from and raise no alarm; 28 days are better. A line that cannot be read is named and left out, and the
exit status is 1 then. "-" is the standard input. Nothing is sent anywhere.`,
		Example: "  tertulia monitor replay counts.csv --time-zone Europe/Madrid\n" +
			"  tertulia monitor replay counts.csv --output json | jq '.incidents[].opened'",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(o.output); err != nil {
				return err
			}
			return o.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0])
		},
	}
	addOutput(cmd, &o.output)
	flags := cmd.Flags()
	flags.StringVar(&o.zone, "time-zone", "UTC", "whose hours and weekends are the usual ones, and of times without a zone")
	flags.IntVar(&o.config.MinNegatives, "min-negatives", 5, "how many negative mentions an alarm has at least")
	flags.IntVar(&o.config.MinAuthors, "min-authors", 3, "how many authors an alarm has at least, within one line")
	flags.DurationVar(&o.config.CoolDown, "cool-down", 6*time.Hour, "for how long nothing has to be unusual before an alarm is over")
	return cmd
}

// complete checks the flags and finds the zone.
func (o *replayOptions) complete() (err error) {
	if o.config.Location, err = time.LoadLocation(o.zone); err != nil || o.zone == "Local" {
		return fmt.Errorf("--time-zone %q is not known: write it as Europe/Madrid", o.zone)
	}
	if o.config.MinNegatives < 1 || o.config.MinAuthors < 1 || o.config.CoolDown <= 0 || o.config.CoolDown > 72*time.Hour {
		return errors.New("--min-negatives and --min-authors are at least 1, and --cool-down lies between 0 and 72h")
	}
	return nil
}

func (o *replayOptions) run(ctx context.Context, in io.Reader, out, told io.Writer, file string) error {
	if err := o.complete(); err != nil {
		return err
	}
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("read the counts: %w", err)
		}
		defer func() { _ = opened.Close() }()
		in = opened
	}
	history, err := monitor.ReadHistory(in, o.config.Location)
	if err != nil {
		return fmt.Errorf("read the counts from %s: %w", file, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	replayed, err := monitor.Replay(history, o.config)
	if err != nil {
		return fmt.Errorf("replay %s: %w", file, err)
	}
	nameBadLines(told, file, replayed)
	if o.output == outputJSON {
		err = printJSON(out, replayed)
	} else {
		err = printReplayed(out, replayed)
	}
	if err == nil && replayed.BadCount > 0 {
		return &verdictError{status: 1}
	}
	return err
}

func nameBadLines(told io.Writer, file string, r *monitor.Replayed) {
	for _, bad := range r.BadLines {
		fmt.Fprintf(told, "%s: line %d: %s\n", file, bad.Line, bad.Error)
	}
	if rest := r.BadCount - len(r.BadLines); rest > 0 {
		fmt.Fprintf(told, "%s: and %d lines more that cannot be read\n", file, rest)
	}
}

// replayTime is how times are told.
const replayTime = "2006-01-02 15:04"

func printReplayed(out io.Writer, r *monitor.Replayed) error {
	if r.Rows == 0 {
		_, err := fmt.Fprintln(out, "no counts")
		return err
	}
	fmt.Fprintf(out, "%d lines from %s to %s, of %v each", r.Rows, r.From.Format(replayTime), r.To.Format(replayTime), r.Step)
	if r.Gaps > 0 {
		fmt.Fprintf(out, "; %d are missing", r.Gaps)
	}
	fmt.Fprintln(out)
	if r.WatchedFrom.IsZero() {
		_, err := fmt.Fprintln(out, "no alarms: what is usual is known after 7 days")
		return err
	}
	days := r.To.Sub(r.WatchedFrom).Hours() / 24
	fmt.Fprintf(out, "watched since %s, %.1f days: %d alarms\n", r.WatchedFrom.Format(replayTime), days, len(r.Incidents))
	if len(r.Incidents) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "\nALARM\tBEGAN\tOVER\tRULE\tNEGATIVE\tUSUAL\tSHARE\tUSUAL SHARE\tPEAK/HOUR")
	for _, i := range r.Incidents {
		over := "still open"
		if !i.Closed.IsZero() {
			over = i.LastUnusual.Format(replayTime)
		}
		if i.Ending == monitor.BecameUsual {
			over = "became usual"
		}
		e := i.Evidence
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d in %v\t%.1f\t%.0f %%\t%.0f %%\t%d\n", i.Opened.Format(replayTime), i.Began.Format(replayTime), over, i.Rule,
			e.Negatives, e.To.Sub(e.From), e.Usual, 100*e.Share, 100*e.UsualShare, i.Peak)
	}
	return table.Flush()
}
