package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"
)

// sendTestOptions are what `tertulia send-test` is told.
type sendTestOptions struct {
	accessOptions
	previewOptions
	to     []string
	output string
}

// NewSendTestCommand is `tertulia send-test`: a campaign's message to the mailboxes of its authors.
func NewSendTestCommand() *cobra.Command {
	var o sendTestOptions
	cmd := &cobra.Command{
		Use: "send-test CAMPAIGN --to ADDRESS…", GroupID: "use", Short: "Send a campaign's message to addresses of your own, as a test",
		Long: "Sends the message over the campaign's channel to the addresses that you give, ten at most, and to nobody else. Its subject is\n" +
			"marked, nothing in it is tracked, and its link for unsubscribing unsubscribes nobody. It stands in no ledger, and the addresses\n" +
			"are kept nowhere. It needs a token with the scope tests:send, and previews:read too for --as. Without it typical values\n" +
			"are shown.\n\n" +
			"Exit status: 0 when the relay took all of them, else 1.",
		Example: "  tertulia send-test spring-2027 --to me@velo.example --to you@velo.example",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(o.output); err != nil {
				return err
			}
			return o.run(cmd.Context(), cmd.OutOrStdout(), args[0])
		},
	}
	o.accessOptions.addFlags(cmd)
	o.previewOptions.addFlags(cmd)
	addOutput(cmd, &o.output)
	cmd.Flags().StringSliceVar(&o.to, "to", nil, "an address; give it again for others, or several with commas (required)")
	require(cmd, "to")
	return cmd
}

// testedMessage is what became of a test.
type testedMessage struct {
	Subject string `json:"subject"`
	Results []struct {
		Outcome string `json:"outcome"`
		Code    int    `json:"code,omitempty"`
		Reply   string `json:"reply,omitempty"`
	} `json:"results"`
}

func (o *sendTestOptions) run(ctx context.Context, out io.Writer, campaign string) error {
	client, err := o.client(ctx)
	if err != nil {
		return err
	}
	request := struct {
		As previewChoice `json:"as"`
		To []string      `json:"to"`
	}{o.choice(), o.to}
	var tested testedMessage
	if err := client.call(ctx, http.MethodPost, campaignPath(campaign, "tests"), request, &tested); err != nil {
		return fmt.Errorf("try campaign %q: %w", campaign, err)
	}
	taken := 0
	for _, r := range tested.Results {
		if r.Outcome == "Accepted" {
			taken++
		}
	}
	if o.output == outputJSON {
		err = printJSON(out, tested)
	} else {
		tellTest(out, tested, taken)
	}
	if err == nil && taken < len(tested.Results) {
		return &verdictError{1}
	}
	return err
}

func tellTest(out io.Writer, tested testedMessage, taken int) {
	fmt.Fprintf(out, "%s\nThe relay took %d of %d.\n", tested.Subject, taken, len(tested.Results))
	for i, r := range tested.Results {
		if r.Outcome != "Accepted" {
			fmt.Fprintf(out, "  address %d: %s %d %s\n", i+1, r.Outcome, r.Code, r.Reply)
		}
	}
}
