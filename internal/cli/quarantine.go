package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// NewQuarantineCommand is `tertulia quarantine`: what a person looks at and decides after a database was restored.
func NewQuarantineCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "quarantine", GroupID: "use", Short: "Look at and release a tenant whose database was restored or has lost messages",
		Long: "A tenant is quarantined when its database holds another ledger than the one that was sent from: a restored backup, or a\n" +
			"standby that lagged behind. Nothing is sent then, because the ledger may have forgotten who was written to.",
	}
	cmd.AddCommand(newQuarantineShow(), newQuarantineRelease(), newQuarantineResume())
	return cmd
}

// The states of a ledger, as the API tells them.
const (
	ledgerPermitted   = "permitted"
	ledgerQuarantined = "quarantined"
	ledgerReleased    = "released"
)

// quarantineInfo is a tenant's quarantine as the API describes it.
type quarantineInfo struct {
	State      string `json:"state"`
	Quarantine *struct {
		ID         int64        `json:"id"`
		Since      time.Time    `json:"since"`
		Why        string       `json:"why"`
		KnownMark  *int64       `json:"known_mark,omitempty"`
		LedgerMark int64        `json:"ledger_mark"`
		Missing    *int64       `json:"missing,omitempty"`
		Release    *releaseInfo `json:"release,omitempty"`
		ClosedAt   *time.Time   `json:"closed_at,omitempty"`
		Outcome    string       `json:"outcome,omitempty"`
	} `json:"quarantine,omitempty"`
	Campaigns []quarantinedCampaign `json:"campaigns"`
}

type releaseInfo struct {
	At          time.Time `json:"at"`
	Token       string    `json:"token"`
	By          string    `json:"by"`
	Reason      string    `json:"reason"`
	Continue    []string  `json:"continue"`
	ContinueAll bool      `json:"continue_all"`
}

type quarantinedCampaign struct {
	Campaign   string           `json:"campaign"`
	SendKey    string           `json:"send_key"`
	Occurrence string           `json:"occurrence,omitempty"`
	Cluster    *campaignNumbers `json:"cluster,omitempty"`
	Ledger     *campaignNumbers `json:"ledger,omitempty"`
	Differs    bool             `json:"differs"`
	Due        bool             `json:"due"`
	WouldSend  int64            `json:"would_send"`
	Held       bool             `json:"held"`
}

// name tells a campaign's occurrences apart.
func (c quarantinedCampaign) name() string {
	return strings.TrimSpace(c.Campaign + " " + c.Occurrence)
}

type campaignNumbers struct {
	Phase     string `json:"phase"`
	Planned   int64  `json:"planned"`
	Sent      int64  `json:"sent"`
	Failed    int64  `json:"failed"`
	Ambiguous int64  `json:"ambiguous"`
	Skipped   int64  `json:"skipped"`
}

func newQuarantineShow() *cobra.Command {
	var access accessOptions
	var output string
	cmd := &cobra.Command{
		Use: "show", Short: "Tell whether the tenant may send, and if not, what its ledger has forgotten", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			client, err := access.client(cmd.Context())
			if err != nil {
				return err
			}
			info, err := client.quarantine(cmd.Context())
			if err != nil {
				return err
			}
			return tellQuarantine(cmd.OutOrStdout(), info, output)
		},
	}
	access.addFlags(cmd)
	addOutput(cmd, &output)
	return cmd
}

func (c *tenantClient) quarantine(ctx context.Context) (quarantineInfo, error) {
	var info quarantineInfo
	if err := c.call(ctx, http.MethodGet, "/v1/quarantine", nil, &info); err != nil {
		return info, fmt.Errorf("look at the quarantine: %w", err)
	}
	return info, nil
}

// decision is who decides, and why.
type decision struct {
	By     string `json:"by"`
	Reason string `json:"reason"`
}

func (d *decision) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.Reason, "reason", "", "why; recorded in the tenant's database (required)")
	cmd.Flags().StringVar(&d.By, "by", "", "who decides; recorded beside the token's name (default: your name on this machine)")
	require(cmd, "reason")
}

func (d *decision) complete() error {
	if d.By != "" {
		return nil
	}
	me, err := user.Current()
	if err != nil || me.Username == "" {
		return errors.New("nobody knows who you are on this machine: give --by")
	}
	d.By = me.Username
	return nil
}

// releaseRequest is what the API is asked.
type releaseRequest struct {
	decision
	ID          int64    `json:"id"`
	Continue    []string `json:"continue,omitempty"`
	ContinueAll bool     `json:"continue_all,omitempty"`
}

// releaseWait is how long the verb waits until the operator has put a release in force.
const releaseWait = 30 * time.Second

func newQuarantineRelease() *cobra.Command {
	var access accessOptions
	var request releaseRequest
	var output string
	var yes bool
	cmd := &cobra.Command{
		Use: "release", Short: "Let a quarantined tenant send again",
		Long: "Sending goes on with what the ledger knows. Campaigns of which the cluster knew more than the ledger does, and those that\n" +
			"would send at once, are held until each is resumed (tertulia quarantine resume): what they sent in the moments before\n" +
			"the loss is known to nobody. --continue and --continue-all let them go on at once; people may then get a message twice.",
		Example: "  tertulia quarantine release -n velo --reason 'restored last night after the disk failed'\n" +
			"  tertulia quarantine release -n velo --reason 'moved to another server, nothing was sent since' --continue-all",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(checkOutput(output), request.complete()); err != nil {
				return err
			}
			client, err := access.client(cmd.Context())
			if err != nil {
				return err
			}
			info, err := client.quarantine(cmd.Context())
			if err != nil {
				return err
			}
			if info.State == ledgerQuarantined {
				if info, err = release(cmd, client, info, request, yes); err != nil {
					return err
				}
			}
			if info, err = client.awaitRelease(cmd.Context(), info); err != nil {
				return err
			}
			return tellQuarantine(cmd.OutOrStdout(), info, output)
		},
	}
	access.addFlags(cmd)
	addOutput(cmd, &output)
	request.addFlags(cmd)
	cmd.Flags().StringSliceVar(&request.Continue, "continue", nil, "a campaign that goes on at once (repeatable; default: none)")
	cmd.Flags().BoolVar(&request.ContinueAll, "continue-all", false, "let every campaign go on at once")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// release shows what is decided about, asks, and releases.
func release(cmd *cobra.Command, client *tenantClient, info quarantineInfo, request releaseRequest, yes bool) (quarantineInfo, error) {
	if !yes {
		if !asksOnTerminal(cmd) {
			return info, errors.New("this is no terminal on which you could be asked: look at `tertulia quarantine show`, then give --yes")
		}
		if err := tellQuarantine(cmd.ErrOrStderr(), info, outputText); err != nil {
			return info, err
		}
		if err := confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), planQuestion(info, request), "release"); err != nil {
			return info, err
		}
	}
	request.ID = info.Quarantine.ID
	var released quarantineInfo
	if err := client.call(cmd.Context(), http.MethodPost, "/v1/quarantine/release", request, &released); err != nil {
		return info, fmt.Errorf("release the quarantine: %w", err)
	}
	return released, nil
}

// planQuestion says what a release does.
func planQuestion(info quarantineInfo, request releaseRequest) string {
	var going []string
	held := map[string]bool{}
	var messages int64
	for _, c := range info.Campaigns {
		named := request.ContinueAll
		for _, name := range request.Continue {
			named = named || name == c.Campaign
		}
		switch {
		case named && c.Due:
			going, messages = append(going, c.name()), messages+c.WouldSend
		case !named:
			held[c.Campaign] = true
		}
	}
	question := fmt.Sprintf("\nReleased, %d campaigns are held until you resume each", len(held))
	if len(going) > 0 {
		question += fmt.Sprintf(", and up to %d messages leave at once (%s): whoever got one that this ledger has forgotten gets it again",
			messages, strings.Join(going, ", "))
	}
	return question + "."
}

// asksOnTerminal tells whether there is somebody to be asked.
func asksOnTerminal(cmd *cobra.Command) bool {
	file, ok := cmd.InOrStdin().(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// confirm asks for a word, without which nothing is done.
func confirm(in io.Reader, out io.Writer, question, word string) error {
	fmt.Fprintf(out, "%s\nType %q to go on: ", question, word)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(answer) != word {
		return errors.New("nothing was changed")
	}
	return nil
}

// awaitRelease waits until a release is in force, or returns the state as it is after a while.
func (c *tenantClient) awaitRelease(ctx context.Context, info quarantineInfo) (quarantineInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, releaseWait)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for info.State == ledgerReleased {
		select {
		case <-ctx.Done():
			return info, nil
		case <-tick.C:
		}
		latest, err := c.quarantine(ctx)
		switch {
		case err == nil:
			info = latest
		case !temporary(err) && ctx.Err() == nil:
			return info, err
		}
	}
	return info, nil
}

func newQuarantineResume() *cobra.Command {
	var access accessOptions
	var request struct {
		decision
		Campaign string `json:"campaign"`
	}
	var output string
	cmd := &cobra.Command{
		Use: "resume", Short: "Let a campaign go on that a release has held",
		Long: "What is pending in the ledger is sent. To end a held campaign without sending, delete its object instead.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(checkOutput(output), request.complete()); err != nil {
				return err
			}
			client, err := access.client(cmd.Context())
			if err != nil {
				return err
			}
			var info quarantineInfo
			if err := client.call(cmd.Context(), http.MethodPost, "/v1/quarantine/resume", request, &info); err != nil {
				return fmt.Errorf("resume the campaign: %w", err)
			}
			if output == outputJSON {
				return printJSON(cmd.OutOrStdout(), info)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Campaign %q goes on.\n", request.Campaign)
			return nil
		},
	}
	access.addFlags(cmd)
	addOutput(cmd, &output)
	request.addFlags(cmd)
	cmd.Flags().StringVar(&request.Campaign, "campaign", "", "the Campaign's name (required)")
	require(cmd, "campaign")
	return cmd
}
