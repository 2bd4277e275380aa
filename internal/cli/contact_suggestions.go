package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// suggestionPage is a page of suggestions, as the API tells it.
type suggestionPage struct {
	Suggestions []suggestionInfo `json:"suggestions"`
	Next        string           `json:"next,omitempty"`
}

type suggestionInfo struct {
	Score   float64 `json:"score"`
	Reasons []struct {
		Signal string  `json:"signal"`
		Level  string  `json:"level"`
		Bits   float64 `json:"bits"`
	} `json:"reasons"`
	FoundAt  time.Time              `json:"found_at"`
	Contacts []suggestedContactInfo `json:"contacts"`
}

type suggestedContactInfo struct {
	ID          string            `json:"id"`
	CreatedAt   time.Time         `json:"created_at"`
	Sources     []string          `json:"sources"`
	Attributes  map[string]string `json:"attributes,omitempty"`
	Identifiers []identifierInfo  `json:"identifiers,omitempty"`
}

// pageOfSuggestions is how many suggestions a request to the API asks for at most.
const pageOfSuggestions = 200

func newContactSuggestions() *cobra.Command {
	var v contactVerb
	var least float64
	var limit int
	cmd := v.command("suggestions", "List contacts who may be one person, the likeliest first", cobra.NoArgs,
		func(cmd *cobra.Command, client *tenantClient, _ []string) error {
			if limit < 1 || least < 0 || least > 1 {
				return fmt.Errorf("list suggestions: --limit is 1 at least, and --min-score lies between 0 and 1")
			}
			list, err := listSuggestions(cmd.Context(), client, least, limit)
			if err != nil {
				return fmt.Errorf("list suggestions: %w", err)
			}
			if v.output == outputJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			tellSuggestions(cmd.OutOrStdout(), list)
			return nil
		})
	cmd.Long = "Contacts that agree in what they are called, where they live or how they are reached may be one person. Nothing is merged until somebody\n" +
		"decides: `tertulia contact merge` makes one of them, `tertulia contact distinct` keeps them apart, and what was decided is not suggested again."
	cmd.Flags().Float64Var(&least, "min-score", 0.5, "how likely they are one person at least, from 0.5 to 1")
	cmd.Flags().IntVar(&limit, "limit", 20, "how many to list at most")
	return cmd
}

// listSuggestions reads suggestions page by page.
func listSuggestions(ctx context.Context, client *tenantClient, least float64, limit int) ([]suggestionInfo, error) {
	list := []suggestionInfo{}
	for after := ""; ; {
		query := url.Values{
			"min_score": {strconv.FormatFloat(least, 'f', -1, 64)}, "limit": {strconv.Itoa(min(limit-len(list), pageOfSuggestions))}, "after": {after},
		}
		if after == "" {
			query.Del("after")
		}
		var page suggestionPage
		if err := client.call(ctx, http.MethodGet, "/v1/suggestions?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		list = append(list, page.Suggestions...)
		if after = page.Next; after == "" || len(list) >= limit {
			return list, nil
		}
	}
}

func tellSuggestions(w io.Writer, list []suggestionInfo) {
	if len(list) == 0 {
		fmt.Fprintln(w, "Nobody waits to be decided.")
		return
	}
	for _, s := range list {
		reasons := make([]string, len(s.Reasons))
		for i, r := range s.Reasons {
			reasons[i] = fmt.Sprintf("%s %s %+.1f", r.Signal, r.Level, r.Bits)
		}
		fmt.Fprintf(w, "%.2f  %s\n", s.Score, strings.Join(reasons, ", "))
		for _, c := range s.Contacts {
			fmt.Fprintf(w, "      %s  %s\n", c.ID, strings.Join(c.words(), "; "))
		}
	}
	fmt.Fprintln(w, "\ntertulia contact merge ID ID makes one person of two, tertulia contact distinct ID ID keeps them apart.")
}

// words tell who somebody is in one line.
func (c suggestedContactInfo) words() []string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(c.Attributes)) {
		words = append(words, name+" "+c.Attributes[name])
	}
	for _, i := range c.Identifiers {
		words = append(words, i.Value)
	}
	if len(c.Sources) > 0 {
		words = append(words, "from "+strings.Join(c.Sources, ", "))
	}
	return append(words, "since "+c.CreatedAt.UTC().Format(time.DateOnly))
}

func newContactDistinct() *cobra.Command {
	var v contactVerb
	var r identityDecision
	const short = "Decide that two contacts are two people"
	cmd := v.command("distinct ID ID", short, cobra.ExactArgs(2), func(cmd *cobra.Command, client *tenantClient, ids []string) error {
		r.IDs = ids
		return v.decide(cmd, client, "distinct", r, func(w io.Writer, a identityAnswer) {
			if !a.Changed {
				fmt.Fprintln(w, "That was decided before.")
				return
			}
			fmt.Fprintln(w, "They are two people: no import merges them, and they are not suggested again.")
		})
	})
	r.addFlags(cmd)
	return cmd
}
