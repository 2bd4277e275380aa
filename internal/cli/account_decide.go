package cli

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// membershipDecision is what the API is told of a contact that belongs to an account.
type membershipDecision struct {
	By      string `json:"by"`
	Role    string `json:"role,omitempty"`
	Primary bool   `json:"primary,omitempty"`
}

const whoDecides = "who decides; recorded in the tenant's database (default: your name on this machine)"

// decider is who decides: as the flag says, or as the machine knows them.
func decider(by string) (string, error) {
	d := decision{By: by}
	err := d.complete()
	return d.By, err
}

func newAccountAdd() *cobra.Command {
	var v contactVerb
	var d membershipDecision
	cmd := v.command("add ACCOUNT CONTACT", "Decide that a contact belongs to an account", cobra.ExactArgs(2),
		func(cmd *cobra.Command, client *tenantClient, ids []string) (err error) {
			if d.By, err = decider(d.By); err != nil {
				return err
			}
			if err := client.call(cmd.Context(), http.MethodPut, accountPath(ids[0])+"/contacts/"+url.PathEscape(ids[1]), d, nil); err != nil {
				return fmt.Errorf("add a contact to an account: %w", err)
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "The contact belongs to the account, whatever sources say.")
			return nil
		})
	cmd.Flags().StringVar(&d.Role, "role", "", "what the contact is there, such as purchaser")
	cmd.Flags().BoolVar(&d.Primary, "primary", false, "the account counts most of those that the contact belongs to")
	cmd.Flags().StringVar(&d.By, "by", "", whoDecides)
	return cmd
}

func newAccountRemove() *cobra.Command {
	var v contactVerb
	var by string
	cmd := v.command("remove ACCOUNT CONTACT", "Decide that a contact does not belong to an account", cobra.ExactArgs(2),
		func(cmd *cobra.Command, client *tenantClient, ids []string) (err error) {
			if by, err = decider(by); err != nil {
				return err
			}
			path := accountPath(ids[0]) + "/contacts/" + url.PathEscape(ids[1]) + "?by=" + url.QueryEscape(by)
			if err := client.call(cmd.Context(), http.MethodDelete, path, nil, nil); err != nil {
				return fmt.Errorf("remove a contact from an account: %w", err)
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "The contact does not belong to the account, whatever sources say.")
			return nil
		})
	cmd.Flags().StringVar(&by, "by", "", whoDecides)
	return cmd
}

func newAccountDelete() *cobra.Command {
	var v contactVerb
	return v.command("delete ID", "Erase an account, and what was said of who belongs to it; its contacts stay", cobra.ExactArgs(1),
		func(cmd *cobra.Command, client *tenantClient, ids []string) error {
			if err := client.call(cmd.Context(), http.MethodDelete, accountPath(ids[0]), nil, nil); err != nil {
				return fmt.Errorf("delete an account: %w", err)
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "The account is erased. A source that tells of it again makes a new one.")
			return nil
		})
}

func newImportAccounts() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use: "accounts FILE.csv", Short: "Import accounts from a CSV file",
		Long: `Imports accounts from a CSV file in UTF-8, of any length. The first line names the columns:

  external_id   the source's own id of the account (required)
  name          what it is called
  domain        its domain, such as acme.example: accounts of two sources that have one are one account
  <attribute>   each attribute of the RecordType "account"

An empty cell leaves what is recorded as it is. Rows that cannot be used go to FILE.rejected.csv with their line and the
reason, and do not stop the others. To import a file again changes nothing.`,
		Example: "  tertulia import accounts accounts.csv --namespace velo --source crm",
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, "accounts", func(client *tenantClient) (importSummary, error) {
				i := &contactsImport{client: client, what: "accounts", name: args[0], source: o.source, stderr: cmd.ErrOrStderr()}
				return i.run(cmd.Context())
			})
		},
	}
	o.addFlags(cmd)
	return cmd
}
