package cli

import (
	"context"
	"encoding/json"
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

// NewAccountCommand is `tertulia account`: companies, and who belongs to them.
func NewAccountCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "account", Aliases: []string{"accounts"}, GroupID: "use", Short: "Look at accounts, and at who belongs to them",
		Long: "An account is a company or another organisation that contacts belong to. `tertulia import accounts` brings them in, and the column\n" +
			"account of a file of contacts tells who belongs to which. What somebody decides here counts before what sources say.",
	}
	cmd.AddCommand(newAccountList(), newAccountShow(), newAccountContacts(), newAccountAdd(), newAccountRemove(), newAccountDelete())
	return cmd
}

// accountInfo is an account as the API tells it.
type accountInfo struct {
	ID          string           `json:"id"`
	Name        string           `json:"name,omitempty"`
	Attributes  map[string]any   `json:"attributes"`
	Identifiers []identifierInfo `json:"identifiers"`
	Contacts    *int64           `json:"contacts,omitempty"`
	CreatedAt   time.Time        `json:"created_at"`
	UpdatedAt   time.Time        `json:"updated_at"`
}

// membershipInfo is that a contact belongs to an account.
type membershipInfo struct {
	ID      string   `json:"id"` // of the contact, or of the account
	Name    string   `json:"name,omitempty"`
	Role    string   `json:"role,omitempty"`
	Primary bool     `json:"primary"`
	Sources []string `json:"sources"`
	ByHand  bool     `json:"by_hand,omitempty"`
}

// words tell of a membership in one line.
func (m membershipInfo) words() string {
	words := []string{}
	if m.Name != "" {
		words = append(words, m.Name)
	}
	if m.Role != "" {
		words = append(words, m.Role)
	}
	if m.Primary {
		words = append(words, "primary")
	}
	if len(m.Sources) > 0 {
		words = append(words, "by "+strings.Join(m.Sources, ", "))
	}
	if m.ByHand {
		words = append(words, "decided")
	}
	return strings.Join(words, "; ")
}

func accountPath(id string) string { return "/v1/accounts/" + url.PathEscape(id) }

// pageOfAccounts is how many entries a request to the API asks for at most.
const pageOfAccounts = 200

// listPages reads the member of that name of the API's answers, page by page, until there are no more or enough.
func listPages[T any](ctx context.Context, client *tenantClient, path, member string, query url.Values, limit int) ([]T, error) {
	list := []T{}
	for {
		query.Set("limit", strconv.Itoa(min(limit-len(list), pageOfAccounts)))
		page := map[string]json.RawMessage{}
		if err := client.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		var items []T
		if err := json.Unmarshal(page[member], &items); err != nil {
			return nil, fmt.Errorf("read the answer: %w", err)
		}
		var next string
		if len(page["next"]) > 0 {
			if err := json.Unmarshal(page["next"], &next); err != nil {
				return nil, fmt.Errorf("read the answer: %w", err)
			}
		}
		if list = append(list, items...); next == "" || len(list) >= limit {
			return list, nil
		}
		query.Set("after", next)
	}
}

func newAccountList() *cobra.Command {
	var v contactVerb
	var name, domain string
	var limit int
	cmd := v.command("list", "List accounts", cobra.NoArgs, func(cmd *cobra.Command, client *tenantClient, _ []string) error {
		if limit < 1 {
			return fmt.Errorf("list accounts: --limit is 1 at least")
		}
		query := url.Values{}
		for parameter, value := range map[string]string{"name": name, "domain": domain} {
			if value != "" {
				query.Set(parameter, value)
			}
		}
		list, err := listPages[accountInfo](cmd.Context(), client, "/v1/accounts", "accounts", query, limit)
		if err != nil {
			return fmt.Errorf("list accounts: %w", err)
		}
		if v.output == outputJSON {
			return printJSON(cmd.OutOrStdout(), list)
		}
		for _, a := range list {
			known := make([]string, len(a.Identifiers))
			for i, identifier := range a.Identifiers {
				known[i] = identifier.Value
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s  %s  %s\n", a.ID, a.Name, strings.Join(known, ", "))
		}
		return nil
	})
	cmd.Flags().StringVar(&name, "name", "", "how the names begin, in whatever case")
	cmd.Flags().StringVar(&domain, "domain", "", "the one that has this domain, such as acme.example")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many to list at most")
	return cmd
}

func newAccountShow() *cobra.Command {
	var v contactVerb
	return v.command("show ID", "Show what is known of an account", cobra.ExactArgs(1), func(cmd *cobra.Command, client *tenantClient, ids []string) error {
		var info accountInfo
		if err := client.call(cmd.Context(), http.MethodGet, accountPath(ids[0]), nil, &info); err != nil {
			return fmt.Errorf("show an account: %w", err)
		}
		if v.output == outputJSON {
			return printJSON(cmd.OutOrStdout(), info)
		}
		tellAccount(cmd.OutOrStdout(), info)
		return nil
	})
}

func tellAccount(w io.Writer, info accountInfo) {
	fmt.Fprintf(w, "Account %s\n", info.ID)
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "  %-12s %s\n", name, text)
		}
	}
	line("name", info.Name)
	line("came in", info.CreatedAt.UTC().Format(time.DateOnly))
	for _, name := range slices.Sorted(maps.Keys(info.Attributes)) {
		line(name, fmt.Sprint(info.Attributes[name]))
	}
	for _, i := range info.Identifiers {
		line(i.Type, i.Value+", by "+i.Source)
	}
	if info.Contacts != nil {
		line("contacts", strconv.FormatInt(*info.Contacts, 10))
	}
}

func newAccountContacts() *cobra.Command {
	var v contactVerb
	var limit int
	cmd := v.command("contacts ID", "List who belongs to an account", cobra.ExactArgs(1), func(cmd *cobra.Command, client *tenantClient, ids []string) error {
		if limit < 1 {
			return fmt.Errorf("list an account's contacts: --limit is 1 at least")
		}
		list, err := listPages[membershipInfo](cmd.Context(), client, accountPath(ids[0])+"/contacts", "contacts", url.Values{}, limit)
		if err != nil {
			return fmt.Errorf("list an account's contacts: %w", err)
		}
		if v.output == outputJSON {
			return printJSON(cmd.OutOrStdout(), list)
		}
		for _, m := range list {
			fmt.Fprintf(cmd.OutOrStdout(), "%s  %s\n", m.ID, m.words())
		}
		return nil
	})
	cmd.Flags().IntVar(&limit, "limit", 200, "how many to list at most")
	return cmd
}
