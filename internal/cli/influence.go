package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// influenceInfo is who moves the talk about a topic, as the API tells it.
type influenceInfo struct {
	Monitor  string       `json:"monitor"`
	Topic    string       `json:"topic"`
	RankedAt *time.Time   `json:"ranked_at,omitempty"`
	Compared int          `json:"compared"`
	Edges    int          `json:"edges"`
	Authors  []influencer `json:"authors"`
}

type influencer struct {
	Place      int            `json:"place"`
	Network    string         `json:"network"`
	Author     *mentionAuthor `json:"author"`
	Score      float64        `json:"score"`
	Parts      influenceParts `json:"parts"`
	Roles      []string       `json:"roles"`
	Amplifiers int            `json:"amplifiers"`
	Core       int            `json:"core"`
	Brought    int            `json:"brought"`
	Posts      int64          `json:"posts"`
	Damping    float64        `json:"damping"`
	Ring       bool           `json:"ring"`
	Staff      bool           `json:"staff"`
}

type influenceParts struct {
	PageRank   *float64 `json:"page_rank,omitempty"`
	Amplifiers *float64 `json:"amplifiers,omitempty"`
	Core       *float64 `json:"core,omitempty"`
	Followers  *float64 `json:"followers,omitempty"`
	Share      *float64 `json:"share,omitempty"`
}

func newMonitorInfluence() *cobra.Command {
	var v segmentVerb
	var topic, role string
	var limit int
	cmd := v.command(&cobra.Command{
		Use: "influence NAME", Short: "Show whose words about a topic others take up, and what makes their score",
		Long: `SCORE is the mean of five places among all who were compared, from 0 to 100: RANK, of who is taken up by those who are taken up;
AMPLIFIERS, of how many people took them up; CORE, of how tightly they are linked; FOLLOWERS, where the network tells; SHARE, of how much of
the talk is theirs. Beside AMPLIFIERS, CORE and SHARE stand how many people, which core and how many posts that is. BROUGHT is how many
people first wrote about the topic after talking with them. An Ambassador speaks well of it for months, a Detractor ill, and a Leader
brought three or more.

The tenant's server answers; its token has the scope mentions:read.`,
		Args: cobra.ExactArgs(1), Example: "  tertulia monitor influence velo --role Ambassador",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		query := url.Values{"limit": {strconv.Itoa(limit)}}
		for name, value := range map[string]string{"topic": topic, "role": role} {
			if value != "" {
				query.Set(name, value)
			}
		}
		var found influenceInfo
		if err := client.call(cmd.Context(), http.MethodGet, monitorPath(args[0], "influence")+"?"+query.Encode(), nil, &found); err != nil {
			return fmt.Errorf("read who moves the talk of monitor %q: %w", args[0], err)
		}
		if v.output == outputJSON {
			return printStrangers(cmd.OutOrStdout(), found)
		}
		return tellInfluence(cmd.OutOrStdout(), found)
	})
	cmd.Flags().StringVar(&topic, "topic", "", "about which topic (default: the brand's, where there is one topic of it)")
	cmd.Flags().StringVar(&role, "role", "", "only who is an Ambassador, a Detractor or a Leader")
	cmd.Flags().IntVar(&limit, "limit", 20, "how many at most, up to 500")
	return cmd
}

func tellInfluence(out io.Writer, found influenceInfo) error {
	topic := plainLine(found.Topic, 0) + " of monitor " + plainLine(found.Monitor, 0)
	if found.RankedAt == nil {
		_, err := fmt.Fprintf(out, "Nobody was compared yet about topic %s: that is done in some minutes.\n", topic)
		return err
	}
	fmt.Fprintf(out, "Topic %s: %d people compared at %s, in %d pairs one took up the other\n\n", topic, found.Compared,
		found.RankedAt.Local().Format(replayTime), found.Edges)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "#\tAUTHOR\tNETWORK\tSCORE\tRANK\tAMPLIFIERS\tCORE\tFOLLOWERS\tSHARE\tBROUGHT\tWHAT")
	for _, i := range found.Authors {
		p := i.Parts
		fmt.Fprintf(table, "%d\t%s\t%s\t%.0f\t%s\t%s (%d)\t%s (%d)\t%s\t%s (%d)\t%d\t%s\n", i.Place, plainLine(i.Author.words(), nameCells),
			plainLine(i.Network, nameCells), 100*i.Score, placeText(p.PageRank), placeText(p.Amplifiers), i.Amplifiers, placeText(p.Core), i.Core,
			placeText(p.Followers), placeText(p.Share), i.Posts, i.Brought, plainLine(i.what(), 0))
	}
	return table.Flush()
}

// placeText is a place among all.
func placeText(place *float64) string {
	if place == nil {
		return "-"
	}
	return strconv.FormatFloat(100**place, 'f', 0, 64)
}

// what are the roles, and what makes somebody weigh less.
func (i *influencer) what() string {
	words := append([]string{}, i.Roles...)
	if i.Staff {
		words = append(words, "ours")
	}
	if i.Author != nil && i.Author.Bot {
		words = append(words, "a program")
	}
	if i.Ring {
		words = append(words, "in a ring")
	}
	if i.Damping < 1 {
		words = append(words, "new")
	}
	return strings.Join(words, ", ")
}
