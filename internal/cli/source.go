package cli

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// sourceInfo is a source as the API tells it.
type sourceInfo struct {
	Name        string     `json:"name"`
	Type        string     `json:"type"`
	State       string     `json:"state"`
	Reason      string     `json:"reason,omitempty"`
	Message     string     `json:"message,omitempty"`
	Since       *time.Time `json:"since,omitempty"`
	Languages   []string   `json:"languages,omitempty"`
	Brought     int64      `json:"brought"`
	LastBrought *time.Time `json:"last_brought_at,omitempty"`
	ReadAt      *time.Time `json:"read_at,omitempty"`
	Rejected    int64      `json:"rejected"`
	Gaps        int64      `json:"gaps"`
	LastGap     *sourceGap `json:"last_gap,omitempty"`
	MovedTo     string     `json:"moved_to,omitempty"`
}

type sourceGap struct {
	From   *time.Time `json:"from,omitempty"`
	To     time.Time  `json:"to"`
	Reason string     `json:"reason"`
}

// NewSourceCommand is `tertulia source`: from where conversations come in.
func NewSourceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "source", Aliases: []string{"sources"}, GroupID: "use", Short: "List what is listened to, and how that goes",
		Long: "A source is a SocialSource: a feed, a network, a mailbox, a webhook. Nothing here changes one: it stands in its manifest.\n" +
			"The tenant's server answers; its tokens have the scope monitors:read.",
	}
	cmd.AddCommand(newSourceList())
	return cmd
}

func newSourceList() *cobra.Command {
	var v segmentVerb
	return v.command(&cobra.Command{
		Use: "list", Short: "List the sources in force: their state, what they brought, and what was missed",
		Long: "READ is when a source was last read without trouble. BROUGHT counts what ever came in, what is forgotten by now too. REJECTED are posts\n" +
			"that could not be read, GAPS are times of which nothing can be known any more. What keeps a source from being read stands below the\n" +
			"table, with what to do where a person has to.",
		Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, client *tenantClient, _ []string) error {
		var list struct {
			Sources []sourceInfo `json:"sources"`
		}
		if err := client.call(cmd.Context(), http.MethodGet, "/v1/sources", nil, &list); err != nil {
			return fmt.Errorf("list the sources: %w", err)
		}
		out := cmd.OutOrStdout()
		err := printList(out, v.output, list, "NAME\tTYPE\tSTATE\tREAD\tBROUGHT\tLAST\tREJECTED\tGAPS", func(table io.Writer) {
			for _, s := range list.Sources {
				state := s.State
				if s.Reason != "" {
					state += " (" + s.Reason + ")"
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%d\t%d\n", s.Name, s.Type, state, agoText(s.ReadAt), s.Brought,
					agoText(s.LastBrought), s.Rejected, s.Gaps)
			}
		})
		if err != nil || v.output == outputJSON {
			return err
		}
		for _, s := range list.Sources {
			printSourceNotes(out, s)
		}
		return nil
	})
}

// printSourceNotes prints what an author has to know of a source.
func printSourceNotes(out io.Writer, s sourceInfo) {
	if s.Message != "" {
		fmt.Fprintf(out, "\n%s, for %s: %s\n", s.Name, agoText(s.Since), plainLine(s.Message, 0))
	}
	if s.MovedTo != "" {
		fmt.Fprintf(out, "\n%s has moved for ever to %s: write that into its manifest.\n", s.Name, plainLine(s.MovedTo, 0))
	}
	if g := s.LastGap; g != nil {
		fmt.Fprintf(out, "\n%s missed what was written before %s: %s\n", s.Name, g.To.Local().Format(replayTime), plainLine(g.Reason, 0))
	}
}
