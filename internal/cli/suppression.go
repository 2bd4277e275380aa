package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// NewSuppressionCommand is `tertulia suppression`: addresses that are not written to.
func NewSuppressionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "suppression", Aliases: []string{"suppressions"}, GroupID: "use", Short: "Suppress addresses, and look at and end suppressions",
		Long: "A suppressed address is not written to, for one purpose or for anything at all, whoever it belongs to now or later.\n" +
			"Only hashes of addresses are kept. Addresses are named on the command line, or one a line on the standard input.",
	}
	cmd.AddCommand(newSuppressionAdd("add"), newSuppressionList(), newSuppressionRemove())
	return cmd
}

// NewSuppressCommand is `tertulia suppress`, a short word for `tertulia suppression add`.
func NewSuppressCommand() *cobra.Command {
	cmd := newSuppressionAdd("suppress")
	cmd.GroupID = "use"
	return cmd
}

// maxAddresses is how many addresses a request to the API holds.
const maxAddresses = 1000

func newSuppressionAdd(name string) *cobra.Command {
	var access accessOptions
	var request suppressRequest
	var expires string
	cmd := &cobra.Command{
		Use: name + " [ADDRESS...]", Short: "Suppress addresses",
		Example: "  tertulia suppress --namespace velo --purpose newsletter < addresses.txt",
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if request.ExpiresAt, err = parseExpires(expires, time.Now()); err != nil {
				return err
			}
			addresses, client, err := access.forAddresses(cmd, args)
			if err != nil {
				return err
			}
			type answer struct {
				Changed int `json:"changed"`
			}
			changed := 0
			if err := askOf(cmd.Context(), client, "add", request, addresses, func(a answer) { changed += a.Changed }); err != nil {
				return fmt.Errorf("suppress addresses (%d are done): %w", changed, err)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d addresses are suppressed now that were not, or not for as long.\n", changed, len(addresses))
			return nil
		},
	}
	access.addFlags(cmd)
	cmd.Flags().StringVar(&request.Purpose, "purpose", "", "for what they are not written to, such as newsletter (default: for anything at all)")
	cmd.Flags().StringVar(&request.Reason, "reason", "manual",
		"why: manual, bounced, complained, or unsubscribed, which only the holder of the address can take back")
	cmd.Flags().StringVar(&expires, "expires", "", "how long it lasts, such as 90d (default: for ever)")
	return cmd
}

type suppressRequest struct {
	Addresses []string   `json:"addresses"`
	Purpose   string     `json:"purpose,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

func newSuppressionRemove() *cobra.Command {
	var access accessOptions
	var request suppressRequest
	cmd := &cobra.Command{
		Use: "remove [ADDRESS...]", Short: "End suppressions, but for those that the holders of the addresses asked for",
		RunE: func(cmd *cobra.Command, args []string) error {
			addresses, client, err := access.forAddresses(cmd, args)
			if err != nil {
				return err
			}
			type answer struct {
				Ended int `json:"ended"`
				Kept  int `json:"kept"`
			}
			ended, kept := 0, 0
			if err := askOf(cmd.Context(), client, "remove", request, addresses, func(a answer) { ended, kept = ended+a.Ended, kept+a.Kept }); err != nil {
				return fmt.Errorf("end suppressions (%d are ended): %w", ended, err)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d suppressions are ended.\n", ended)
			if kept > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d stay: the holders of the addresses asked for them, and only they can take them back.\n", kept)
			}
			return nil
		},
	}
	access.addFlags(cmd)
	cmd.Flags().StringVar(&request.Purpose, "purpose", "", "for what they were suppressed (default: those of anything at all)")
	return cmd
}

func newSuppressionList() *cobra.Command {
	var access accessOptions
	var output string
	var stdin bool
	cmd := &cobra.Command{
		Use: "list [ADDRESS...]", Short: "Count the suppressed addresses, or tell what keeps these from being written to",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			client, err := access.client(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) == 0 && !stdin {
				return countSuppressions(cmd, client, output)
			}
			addresses, err := readAddresses(cmd.InOrStdin(), args)
			if err != nil {
				return err
			}
			return findSuppressions(cmd, client, addresses, output)
		},
	}
	access.addFlags(cmd)
	addOutput(cmd, &output)
	cmd.Flags().BoolVar(&stdin, "stdin", false, "read the addresses from the standard input, one a line")
	return cmd
}

func countSuppressions(cmd *cobra.Command, client *tenantClient, output string) error {
	var counted struct {
		Counts []struct {
			Purpose   string `json:"purpose,omitempty"`
			Reason    string `json:"reason"`
			Addresses int64  `json:"addresses"`
			Expiring  int64  `json:"expiring"`
		} `json:"counts"`
	}
	if err := client.call(cmd.Context(), http.MethodGet, "/v1/suppressions", nil, &counted); err != nil {
		return fmt.Errorf("count the suppressions: %w", err)
	}
	return printList(cmd.OutOrStdout(), output, counted, "PURPOSE\tREASON\tADDRESSES\tFOR A TIME", func(table io.Writer) {
		for _, c := range counted.Counts {
			fmt.Fprintf(table, "%s\t%s\t%d\t%d\n", orAnything(c.Purpose), c.Reason, c.Addresses, c.Expiring)
		}
	})
}

func orAnything(purpose string) string {
	if purpose == "" {
		return "(anything)"
	}
	return purpose
}

type suppressionInfo struct {
	Address   string     `json:"address"`
	Purpose   string     `json:"purpose,omitempty"`
	Reason    string     `json:"reason"`
	Source    string     `json:"source"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

func findSuppressions(cmd *cobra.Command, client *tenantClient, addresses []string, output string) error {
	type answer struct {
		Suppressions []suppressionInfo `json:"suppressions"`
	}
	found := answer{Suppressions: []suppressionInfo{}}
	collect := func(a answer) { found.Suppressions = append(found.Suppressions, a.Suppressions...) }
	if err := askOf(cmd.Context(), client, "find", suppressRequest{}, addresses, collect); err != nil {
		return fmt.Errorf("look for suppressions: %w", err)
	}
	return printList(cmd.OutOrStdout(), output, found, "ADDRESS\tPURPOSE\tREASON\tSOURCE\tSINCE\tEXPIRES", func(table io.Writer) {
		for _, f := range found.Suppressions {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Address, orAnything(f.Purpose), f.Reason, f.Source,
				f.CreatedAt.Format(time.DateOnly), expiry(f.ExpiresAt))
		}
	})
}

// forAddresses reads the addresses that a verb is about, and gives access to their tenant's API.
func (o *accessOptions) forAddresses(cmd *cobra.Command, args []string) ([]string, *tenantClient, error) {
	addresses, err := readAddresses(cmd.InOrStdin(), args)
	if err != nil {
		return nil, nil, err
	}
	client, err := o.client(cmd.Context())
	return addresses, client, err
}

// askOf asks the API for something about the suppressions of addresses, in as many requests as they need, and hands each answer
// over as it comes.
func askOf[A any](ctx context.Context, client *tenantClient, verb string, request suppressRequest, addresses []string, took func(A)) error {
	for part := range slices.Chunk(addresses, maxAddresses) {
		request.Addresses = part
		var answer A
		if err := client.call(ctx, http.MethodPost, "/v1/suppressions:"+verb, request, &answer); err != nil {
			return err
		}
		took(answer)
	}
	return nil
}

// maxAddressLine bounds a line of the standard input, in bytes: an address has at most 320.
const maxAddressLine = 1000

// readAddresses takes addresses from the command line, else from the standard input, one a line. Its errors name a line and no
// address.
func readAddresses(in io.Reader, args []string) ([]string, error) {
	if len(args) > 0 {
		return args, nil
	}
	var addresses []string
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxAddressLine)
	for lines.Scan() {
		if address := strings.TrimSpace(lines.Text()); address != "" {
			addresses = append(addresses, address)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read addresses, after %d of them: %w", len(addresses), err)
	}
	if len(addresses) == 0 {
		return nil, errors.New("name addresses on the command line, or write them to the standard input, one a line")
	}
	return addresses, nil
}
