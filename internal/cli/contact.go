package cli

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// NewContactCommand is `tertulia contact`: one person, and what they are made of.
func NewContactCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "contact", Aliases: []string{"contacts"}, GroupID: "use", Short: "Look at one person, merge two, and take them apart",
		Long: "A contact is a person. What each source says of them is a record; records that share what identifies somebody are one contact,\n" +
			"and so are those that somebody has merged. Contacts and records are named by their public ids.",
	}
	cmd.AddCommand(newContactShow(), newContactHistory(), newContactSuggestions(), newContactMerge(), newContactUnmerge(), newContactDistinct())
	return cmd
}

// contactInfo is a contact as the API tells it.
type contactInfo struct {
	ID          string            `json:"id"`
	AskedID     string            `json:"asked_id,omitempty"`
	Locale      string            `json:"locale,omitempty"`
	TimeZone    string            `json:"time_zone,omitempty"`
	Tags        []string          `json:"tags"`
	Attributes  map[string]any    `json:"attributes"`
	Identifiers []identifierInfo  `json:"identifiers"`
	Consents    map[string]stance `json:"consents"`
	Accounts    []membershipInfo  `json:"accounts,omitempty"`
	Segments    []string          `json:"segments"`
	CreatedAt   time.Time         `json:"created_at"`
	UpdatedAt   time.Time         `json:"updated_at"`
}

type identifierInfo struct {
	Type      string     `json:"type"`
	Value     string     `json:"value"`
	Verified  bool       `json:"verified"`
	Evidence  string     `json:"evidence,omitempty"`
	Source    string     `json:"source"`
	LinkedAt  *time.Time `json:"linked_at,omitempty"`
	At        *time.Time `json:"at,omitempty"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
}

type stance struct {
	Granted    bool      `json:"granted"`
	ByContact  bool      `json:"by_contact"`
	Source     string    `json:"source"`
	RecordedAt time.Time `json:"recorded_at"`
}

// contactVerb is a verb about one contact or several.
type contactVerb struct {
	access accessOptions
	output string
}

func (v *contactVerb) command(
	use, short string, args cobra.PositionalArgs, run func(cmd *cobra.Command, client *tenantClient, ids []string) error,
) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, ids []string) error {
			if err := checkOutput(v.output); err != nil {
				return err
			}
			client, err := v.access.client(cmd.Context())
			if err != nil {
				return err
			}
			return run(cmd, client, ids)
		},
	}
	v.access.addFlags(cmd)
	addOutput(cmd, &v.output)
	return cmd
}

func newContactShow() *cobra.Command {
	var v contactVerb
	return v.command("show ID", "Show what is known of a contact", cobra.ExactArgs(1), func(cmd *cobra.Command, client *tenantClient, ids []string) error {
		var info contactInfo
		if err := client.call(cmd.Context(), http.MethodGet, "/v1/contacts/"+url.PathEscape(ids[0]), nil, &info); err != nil {
			return fmt.Errorf("show a contact: %w", err)
		}
		if v.output == outputJSON {
			return printJSON(cmd.OutOrStdout(), info)
		}
		tellContact(cmd.OutOrStdout(), info)
		return nil
	})
}

func tellContact(w io.Writer, info contactInfo) {
	fmt.Fprintf(w, "Contact %s\n", info.ID)
	if info.AskedID != "" {
		fmt.Fprintf(w, "  %s was merged into it.\n", info.AskedID)
	}
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "  %-12s %s\n", name, text)
		}
	}
	line("came in", info.CreatedAt.UTC().Format(time.DateOnly))
	line("locale", info.Locale)
	line("time zone", info.TimeZone)
	line("tags", strings.Join(info.Tags, ", "))
	line("segments", strings.Join(info.Segments, ", "))
	for _, name := range slices.Sorted(maps.Keys(info.Attributes)) {
		line(name, fmt.Sprint(info.Attributes[name]))
	}
	for _, i := range info.Identifiers {
		line(i.Type, i.Value+whetherVerified(i.Verified)+", by "+i.Source)
	}
	for _, m := range info.Accounts {
		line("account", m.ID+"  "+m.words())
	}
	for _, purpose := range slices.Sorted(maps.Keys(info.Consents)) {
		c := info.Consents[purpose]
		said := "no"
		if c.Granted {
			said = "yes"
		}
		if c.ByContact {
			said += ", said so themself"
		}
		line(purpose, said+", by "+c.Source+" on "+c.RecordedAt.UTC().Format(time.DateOnly))
	}
}

func whetherVerified(verified bool) string {
	if verified {
		return " (verified)"
	}
	return ""
}

// contactHistory is how a contact came to be who it is, as the API tells it.
type contactHistory struct {
	ID      string `json:"id"`
	Records []struct {
		ID          string           `json:"id"`
		Source      string           `json:"source"`
		CreatedAt   time.Time        `json:"created_at"`
		Identifiers []identifierInfo `json:"identifiers"`
	} `json:"records"`
	Changes []contactChange `json:"changes"`
}

type contactChange struct {
	At     time.Time `json:"at"`
	Record string    `json:"record"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	Types  []string  `json:"types,omitempty"`
	By     string    `json:"by,omitempty"`
	Token  string    `json:"token,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

func newContactHistory() *cobra.Command {
	var v contactVerb
	const short = "Tell how a contact came to be who it is"
	return v.command("history ID", short, cobra.ExactArgs(1), func(cmd *cobra.Command, client *tenantClient, ids []string) error {
		var h contactHistory
		if err := client.call(cmd.Context(), http.MethodGet, "/v1/contacts/"+url.PathEscape(ids[0])+"/history", nil, &h); err != nil {
			return fmt.Errorf("read a contact's history: %w", err)
		}
		if v.output == outputJSON {
			return printJSON(cmd.OutOrStdout(), h)
		}
		w := cmd.OutOrStdout()
		fmt.Fprintf(w, "Contact %s\n", h.ID)
		for _, r := range h.Records {
			fmt.Fprintf(w, "\nRecord %s, from %s on %s\n", r.ID, orUnknown(r.Source), r.CreatedAt.UTC().Format(time.DateOnly))
			for _, i := range r.Identifiers {
				fmt.Fprintf(w, "  %-12s %s%s, %s by %s%s\n", i.Type, i.Value, whetherVerified(i.Verified), i.Evidence, i.Source, takenBack(i.RevokedAt))
			}
		}
		for _, c := range h.Changes {
			fmt.Fprintf(w, "\n%s  record %s came from %s to %s%s\n", moment(c.At), c.Record, c.From, c.To, c.why())
		}
		return nil
	})
}

func orUnknown(source string) string {
	if source == "" {
		return "an unknown source"
	}
	return source
}

func takenBack(at *time.Time) string {
	if at == nil {
		return ""
	}
	return ", taken back on " + at.UTC().Format(time.DateOnly)
}

// why says who or what moved a record.
func (c contactChange) why() string {
	switch {
	case c.By != "" && c.Reason != "":
		return fmt.Sprintf(", because %s decided so: %s", c.By, c.Reason)
	case c.By != "":
		return fmt.Sprintf(", because %s decided so", c.By)
	case len(c.Types) > 0:
		return ", by the same " + strings.Join(c.Types, " and ")
	}
	return ""
}

// identityDecision is what the API is asked.
type identityDecision struct {
	IDs []string `json:"ids"`
	decision
}

func (r *identityDecision) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why; recorded in the tenant's database")
	cmd.Flags().StringVar(&r.By, "by", "", "who decides; recorded beside the token's name (default: your name on this machine)")
}

// identityAnswer is what the API answers.
type identityAnswer struct {
	Contacts []string `json:"contacts"`
	Changed  bool     `json:"changed"`
}

func (v *contactVerb) decide(cmd *cobra.Command, client *tenantClient, verb string, r identityDecision, tell func(io.Writer, identityAnswer)) error {
	if err := r.complete(); err != nil {
		return err
	}
	var answer identityAnswer
	if err := client.call(cmd.Context(), http.MethodPost, "/v1/contacts:"+verb, r, &answer); err != nil {
		return fmt.Errorf("decide of contacts (%s): %w", verb, err)
	}
	if v.output == outputJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	tell(cmd.OutOrStdout(), answer)
	return nil
}

func newContactMerge() *cobra.Command {
	var v contactVerb
	var r identityDecision
	cmd := v.command("merge ID ID", "Make one person of two contacts", cobra.ExactArgs(2), func(cmd *cobra.Command, client *tenantClient, ids []string) error {
		r.IDs = ids
		return v.decide(cmd, client, "merge", r, func(w io.Writer, a identityAnswer) {
			if !a.Changed {
				fmt.Fprintf(w, "They were one contact before: %s.\n", strings.Join(a.Contacts, ", "))
				return
			}
			fmt.Fprintf(w, "They are one contact now: %s. The other id leads to it.\n", strings.Join(a.Contacts, ", "))
		})
	})
	r.addFlags(cmd)
	return cmd
}

func newContactUnmerge() *cobra.Command {
	var v contactVerb
	var r identityDecision
	const short = "Take records out of a contact, together"
	cmd := v.command("unmerge ID...", short, cobra.MinimumNArgs(1), func(cmd *cobra.Command, client *tenantClient, ids []string) error {
		r.IDs = ids
		return v.decide(cmd, client, "unmerge", r, func(w io.Writer, a identityAnswer) {
			fmt.Fprintf(w, "They are apart, and no import merges them again: %s.\n", strings.Join(a.Contacts, ", "))
		})
	})
	r.addFlags(cmd)
	return cmd
}
