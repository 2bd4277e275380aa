package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tertulia-crm/tertulia/internal/server"
)

// NewTokenCommand is `tertulia token`: bearer tokens for programs that speak to a tenant's API.
func NewTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "token", GroupID: "use", Short: "Make, list and revoke tokens for the HTTP API",
		Long: "A token lets a program speak to one tenant's HTTP API, within its scopes. It is shown once, when it is made;\n" +
			"the server keeps only its hash.\n\n" +
			"Scopes: " + strings.Join(server.Scopes, ", ") + ".",
	}
	cmd.AddCommand(newTokenCreate(), newTokenList(), newTokenRevoke())
	return cmd
}

// tokenInfo is a token as the API describes it.
type tokenInfo struct {
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	Token     string     `json:"token,omitempty"`
}

func newTokenCreate() *cobra.Command {
	var access accessOptions
	var name, expires, output string
	var scopes []string
	cmd := &cobra.Command{
		Use: "create", Short: "Make a token and print it",
		Example: "  tertulia token create --namespace velo --name shop --scope contacts:write --scope events:write --expires 90d",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			request := struct {
				Name      string     `json:"name"`
				Scopes    []string   `json:"scopes"`
				ExpiresAt *time.Time `json:"expires_at,omitempty"`
			}{Name: name, Scopes: scopes}
			var err error
			if request.ExpiresAt, err = parseExpires(expires, time.Now()); err != nil {
				return err
			}
			client, err := access.client(cmd.Context())
			if err != nil {
				return err
			}
			var made tokenInfo
			if err := client.call(cmd.Context(), http.MethodPost, "/v1/tokens", request, &made); err != nil {
				return fmt.Errorf("create the token: %w", err)
			}
			if output == outputJSON {
				return printJSON(cmd.OutOrStdout(), made)
			}
			fmt.Fprintln(cmd.OutOrStdout(), made.Token)
			fmt.Fprintf(cmd.ErrOrStderr(), "Token %q (%s), %s. Keep it now: it is not shown again.\n",
				made.Name, strings.Join(made.Scopes, ", "), expiry(made.ExpiresAt))
			return nil
		},
	}
	access.addFlags(cmd)
	addOutput(cmd, &output)
	cmd.Flags().StringVar(&name, "name", "", "what the token is for, such as shop (required)")
	cmd.Flags().StringSliceVar(&scopes, "scope", nil, "what the token may do (required, repeatable): "+strings.Join(server.Scopes, ", "))
	cmd.Flags().StringVar(&expires, "expires", "", "how long the token lasts, such as 90d or 12h (default: for ever)")
	require(cmd, "name", "scope")
	return cmd
}

func newTokenList() *cobra.Command {
	var access accessOptions
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "List the tokens that are not revoked", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			client, err := access.client(cmd.Context())
			if err != nil {
				return err
			}
			var list struct {
				Tokens []tokenInfo `json:"tokens"`
			}
			if err := client.call(cmd.Context(), http.MethodGet, "/v1/tokens", nil, &list); err != nil {
				return fmt.Errorf("list the tokens: %w", err)
			}
			return printList(cmd.OutOrStdout(), output, list, "NAME\tSCOPES\tCREATED\tEXPIRES", func(table io.Writer) {
				for _, t := range list.Tokens {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", t.Name, strings.Join(t.Scopes, ","), t.CreatedAt.Format(time.DateOnly), expiry(t.ExpiresAt))
				}
			})
		},
	}
	access.addFlags(cmd)
	addOutput(cmd, &output)
	return cmd
}

func newTokenRevoke() *cobra.Command {
	var access accessOptions
	var name string
	cmd := &cobra.Command{
		Use: "revoke", Short: "End a token at once", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := access.client(cmd.Context())
			if err != nil {
				return err
			}
			if err := client.call(cmd.Context(), http.MethodDelete, "/v1/tokens/"+url.PathEscape(name), nil, nil); err != nil {
				return fmt.Errorf("revoke the token: %w", err)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Token %q is revoked.\n", name)
			return nil
		},
	}
	access.addFlags(cmd)
	cmd.Flags().StringVar(&name, "name", "", "the token's name (required)")
	require(cmd, "name")
	return cmd
}

func expiry(at *time.Time) string {
	if at == nil {
		return "never expires"
	}
	return "until " + at.Format(time.RFC3339)
}

// parseExpires reads how long something lasts from now on: nil, for ever, where that is not said.
func parseExpires(text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	lasts, err := parseDays(text)
	if err != nil {
		return nil, fmt.Errorf("--expires: %w", err)
	}
	end := now.Add(lasts).UTC().Truncate(time.Second)
	return &end, nil
}

// parseDays reads a duration that may be given in days.
func parseDays(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > 36500 {
			return 0, fmt.Errorf("%q is no number of days, such as 90d", text)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is no duration, such as 90d or 12h", text)
	}
	return d, nil
}

// require marks flags without which the verb means nothing.
func require(cmd *cobra.Command, flags ...string) {
	for _, name := range flags {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag does not exist: a slip that the first test finds
		}
	}
}
