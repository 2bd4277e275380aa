package cli

import (
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// sentimentInfo is what judges posts, as the API tells it.
type sentimentInfo struct {
	Server *struct {
		Protocol string `json:"protocol"`
		Model    string `json:"model,omitempty"`
	} `json:"server,omitempty"`
	Languages []sentimentLanguage `json:"languages"`
}

type sentimentLanguage struct {
	Language string          `json:"language"`
	Engine   string          `json:"engine"`
	Fallback string          `json:"fallback,omitempty"`
	Trial    *sentimentTrial `json:"trial,omitempty"`
}

type sentimentTrial struct {
	At          time.Time `json:"at"`
	Corrections int       `json:"corrections"`
	HeldBack    int       `json:"held_back"`
	F1Model     float64   `json:"f1_model"`
	F1Lexicon   float64   `json:"f1_lexicon"`
	Chance      float64   `json:"chance"`
	Used        bool      `json:"used"`
	Refused     string    `json:"refused,omitempty"`
}

func newSentimentEngines() *cobra.Command {
	var v segmentVerb
	return v.command(&cobra.Command{
		Use: "engines", Short: "Show what judges a tenant's posts in each language, and what learning from corrections came to",
		Long: `ENGINE is what judges posts: http is the server that the CRMTenant names, learned what was learned from corrections, lexicon words and
rules. What the server does not answer, ELSE judges. The other columns are of the last trial of what was learned: from how many CORRECTIONS,
on how many texts that were HELD BACK it was compared, and the macro-F1, from 0 to 100, of what was LEARNED and of the LEXICON there.

The tenant's server answers; its token has the scope monitors:read.`,
		Args: cobra.NoArgs, Example: "  tertulia sentiment engines --output json",
	}, func(cmd *cobra.Command, client *tenantClient, _ []string) error {
		var found sentimentInfo
		if err := client.call(cmd.Context(), http.MethodGet, "/v1/sentiment", nil, &found); err != nil {
			return fmt.Errorf("read what judges posts: %w", err)
		}
		if v.output == outputJSON {
			return printStrangers(cmd.OutOrStdout(), found)
		}
		return tellEngines(cmd.OutOrStdout(), found)
	})
}

func tellEngines(out io.Writer, found sentimentInfo) error {
	if s := found.Server; s != nil {
		fmt.Fprintf(out, "A server is asked first: %s %s\n\n", s.Protocol, plainLine(s.Model, nameCells))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "LANGUAGE\tENGINE\tELSE\tTRIED\tCORRECTIONS\tHELD BACK\tLEARNED\tLEXICON\tUSED")
	for _, l := range found.Languages {
		otherwise := l.Fallback
		if otherwise == "" {
			otherwise = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", plainLine(l.Language, 0), l.Engine, otherwise, l.Trial.columns())
	}
	return table.Flush()
}

// columns tell of a trial. A model that could not be tried has no scores.
func (t *sentimentTrial) columns() string {
	if t == nil {
		return "-\t-\t-\t-\t-\t-"
	}
	scores, used := "-\t-\t-", "yes"
	if t.HeldBack > 0 {
		scores = fmt.Sprintf("%d\t%.1f\t%.1f", t.HeldBack, 100*t.F1Model, 100*t.F1Lexicon)
	}
	if !t.Used {
		used = "no: " + plainLine(t.Refused, 0)
	}
	return fmt.Sprintf("%s\t%d\t%s\t%s", t.At.Local().Format(replayTime), t.Corrections, scores, used)
}
