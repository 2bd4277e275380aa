package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
)

// NewSegmentCommand is `tertulia segment`: how segments stand, what they cost, and what a manifest would change.
func NewSegmentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "segment", Aliases: []string{"segments"}, GroupID: "use", Short: "List, explain and sample segments, and tell what a manifest would change",
		Long: "Nothing here changes a segment: what it is stands in its manifest, and its members follow. The tenant's server answers; its tokens\n" +
			"have the scope segments:read, and contacts:read to sample.",
	}
	cmd.AddCommand(newSegmentList(), newSegmentExplain(), newSegmentSample(), newSegmentDiff())
	return cmd
}

// segmentInfo is how a segment stands, as the API tells it.
type segmentInfo struct {
	Name      string     `json:"name"`
	State     string     `json:"state"`
	Members   *int64     `json:"members,omitempty"`
	Waiting   int64      `json:"waiting"`
	Lag       float64    `json:"lag_seconds"`
	ChangedAt *time.Time `json:"changed_at,omitempty"`
	Build     struct {
		At   *time.Time `json:"at,omitempty"`
		Took *float64   `json:"seconds,omitempty"`
	} `json:"build"`
	Verification struct {
		At         *time.Time `json:"at,omitempty"`
		UnderWay   bool       `json:"under_way"`
		Repaired   int64      `json:"repaired"`
		RepairedAt *time.Time `json:"repaired_at,omitempty"`
	} `json:"verification"`
}

// segmentUsers are who needs a segment's membership.
type segmentUsers struct {
	Segments  []string `json:"segments"`
	Campaigns []string `json:"campaigns"`
}

// segmentVerb is a verb about segments, with what all of them are told.
type segmentVerb struct {
	access accessOptions
	output string
}

func (v *segmentVerb) command(cmd *cobra.Command, run func(cmd *cobra.Command, client *tenantClient, args []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(v.output); err != nil {
			return err
		}
		client, err := v.access.client(cmd.Context())
		if err != nil {
			return err
		}
		return run(cmd, client, args)
	}
	v.access.addFlags(cmd)
	addOutput(cmd, &v.output)
	return cmd
}

func segmentPath(name, verb string) string {
	return "/v1/segments/" + url.PathEscape(name) + "/" + verb
}

func newSegmentList() *cobra.Command {
	var v segmentVerb
	return v.command(&cobra.Command{
		Use: "list", Short: "List the segments in force: how large, how current and how costly they are",
		Long: "LAG is the age of the oldest change that is not evaluated yet, TOOK is what the last build took. VERIFIED is when everybody was\n" +
			"last compared with the definition, REPAIRED how many memberships were ever found to be wrong by it: it should be 0. Whether a\n" +
			"manifest was accepted is told by kubectl get segments.",
		Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, client *tenantClient, _ []string) error {
		var list struct {
			Segments []segmentInfo `json:"segments"`
		}
		if err := client.call(cmd.Context(), http.MethodGet, "/v1/segments", nil, &list); err != nil {
			return fmt.Errorf("list the segments: %w", err)
		}
		return printList(cmd.OutOrStdout(), v.output, list, "NAME\tSTATE\tMEMBERS\tLAG\tBUILT\tTOOK\tVERIFIED\tREPAIRED", func(table io.Writer) {
			for _, s := range list.Segments {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", s.Name, s.State, orNone(s.Members), lagText(s.Lag), agoText(s.Build.At),
					secondsText(s.Build.Took), verifiedText(s), s.Verification.Repaired)
			}
		})
	})
}

func orNone(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

// lagText is how far a segment is behind, to a tenth of a second.
func lagText(seconds float64) string {
	if seconds == 0 {
		return "0s"
	}
	return secondsText(&seconds)
}

// secondsText is a duration with as many digits as people read.
func secondsText(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	d := time.Duration(*seconds * float64(time.Second))
	switch {
	case d < 10*time.Millisecond:
		d = d.Round(10 * time.Microsecond)
	case d < time.Second:
		d = d.Round(time.Millisecond)
	case d < time.Minute:
		d = d.Round(100 * time.Millisecond)
	default:
		d = d.Round(time.Second)
	}
	return d.String()
}

// agoText is how long ago something was, as kubectl writes it.
func agoText(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return duration.HumanDuration(max(0, time.Since(*at)))
}

func verifiedText(s segmentInfo) string {
	if s.Verification.UnderWay {
		return "under way"
	}
	return agoText(s.Verification.At)
}

func newSegmentSample() *cobra.Command {
	var v segmentVerb
	var n int
	cmd := v.command(&cobra.Command{
		Use: "sample NAME", Short: "Draw members by lot and print their public ids, one a line",
		Long: "Each member has the same chance. Nothing else of anybody is told: `tertulia contact show ID` does, to who may see it.",
		Args: cobra.ExactArgs(1), Example: "  tertulia segment sample lapsed-club --size 5 -n velo",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		var sample struct {
			IDs []string `json:"ids"`
		}
		if err := client.call(cmd.Context(), http.MethodGet, segmentPath(args[0], "sample")+"?n="+strconv.Itoa(n), nil, &sample); err != nil {
			return fmt.Errorf("sample segment %q: %w", args[0], err)
		}
		if v.output == outputJSON {
			return printJSON(cmd.OutOrStdout(), sample)
		}
		for _, id := range sample.IDs {
			fmt.Fprintln(cmd.OutOrStdout(), id)
		}
		return nil
	})
	cmd.Flags().IntVar(&n, "size", 20, "how many members at most, up to 1000")
	return cmd
}
