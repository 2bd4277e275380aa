package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// NewCampaignCommand is `tertulia campaign`: why a campaign is not being sent, and what a person decides about it.
func NewCampaignCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "campaign", GroupID: "use", Short: "Explain, pause, resume or abort a campaign, or send again what is ambiguous",
		Long: "Decisions are kept in the tenant's database, with who and why, and shown in the Campaign's status. They never change the\n" +
			"Campaign's object, and no manifest undoes them.",
	}
	cmd.AddCommand(newCampaignExplain(), newCampaignPause(), newCampaignResume(), newCampaignAbort(), newCampaignResend())
	return cmd
}

// campaignInfo is a campaign as the API explains it.
type campaignInfo struct {
	Campaign   string          `json:"campaign"`
	SendKey    string          `json:"send_key"`
	Occurrence string          `json:"occurrence,omitempty"`
	State      string          `json:"state"`
	Counts     campaign.Counts `json:"counts"`
	Sending    bool            `json:"sending"`
	Findings   []struct {
		Code   string     `json:"code"`
		Blocks bool       `json:"blocks"`
		What   string     `json:"what"`
		Do     string     `json:"do,omitempty"`
		Until  *time.Time `json:"until,omitempty"`
	} `json:"findings"`
	Again *int64 `json:"again,omitempty"`
}

// campaignVerb is a verb about one campaign, with what all of them are told.
type campaignVerb struct {
	access accessOptions
	output string
}

func (v *campaignVerb) command(use, short, long string, run func(cmd *cobra.Command, client *tenantClient, name string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use + " NAME", Short: short, Long: long, Args: cobra.ExactArgs(1),
		Example: "  tertulia campaign " + use + " spring-2027 -n velo",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(v.output); err != nil {
				return err
			}
			client, err := v.access.client(cmd.Context())
			if err != nil {
				return err
			}
			return run(cmd, client, args[0])
		},
	}
	v.access.addFlags(cmd)
	addOutput(cmd, &v.output)
	return cmd
}

func (c *tenantClient) explain(ctx context.Context, name string) (info campaignInfo, err error) {
	if err := c.call(ctx, http.MethodGet, "/v1/campaigns/"+url.PathEscape(name)+"/explain", nil, &info); err != nil {
		return info, fmt.Errorf("explain campaign %q: %w", name, err)
	}
	return info, nil
}

func newCampaignExplain() *cobra.Command {
	var v campaignVerb
	return v.command("explain", "Tell why a campaign is not being sent, or that it is",
		"Lists everything that stands in the way: what must be mended first at the top, each with what to do.",
		func(cmd *cobra.Command, client *tenantClient, name string) error {
			info, err := client.explain(cmd.Context(), name)
			if err != nil {
				return err
			}
			return tellCampaign(cmd.OutOrStdout(), info, v.output)
		})
}

// tellCampaign says how a campaign stands, to people or to programs.
func tellCampaign(w io.Writer, info campaignInfo, output string) error {
	if output == outputJSON {
		return printJSON(w, info)
	}
	of := ""
	if info.Occurrence != "" {
		of = " of " + info.Occurrence
	}
	fmt.Fprintf(w, "Campaign %s%s: %s", info.Campaign, of, info.State)
	if n := info.Counts; n.Planned > 0 {
		fmt.Fprintf(w, ", %d of %d sent, %d pending, %d skipped, %d failed, %d ambiguous", n.Sent, n.Planned, n.Pending, n.Skipped, n.Failed, n.Ambiguous)
	}
	fmt.Fprintln(w)
	for i, f := range info.Findings {
		fmt.Fprintf(w, "\n%d. %s", i+1, f.What)
		if f.Until != nil {
			fmt.Fprintf(w, " Until %s.", moment(*f.Until))
		}
		fmt.Fprintln(w)
		if f.Do != "" {
			fmt.Fprintf(w, "   → %s\n", f.Do)
		}
	}
	return nil
}

// commandRequest is what the API is asked.
type commandRequest struct {
	Verb campaign.Verb `json:"verb"`
	decision
	Until *time.Time `json:"until,omitempty"`
}

// addReason adds the flags that say who decides, and why.
func (r *commandRequest) addReason(cmd *cobra.Command, required bool) {
	if required {
		r.addFlags(cmd)
		return
	}
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why; recorded in the tenant's database and shown in the Campaign's status")
	cmd.Flags().StringVar(&r.By, "by", "", "who decides; recorded beside the token's name (default: your name on this machine)")
}

// decide sends a command and tells how the campaign stands afterwards.
func (v *campaignVerb) decide(cmd *cobra.Command, client *tenantClient, name string, r commandRequest, done func(campaignInfo) string) error {
	if err := r.complete(); err != nil {
		return err
	}
	var info campaignInfo
	if err := client.call(cmd.Context(), http.MethodPost, "/v1/campaigns/"+url.PathEscape(name)+"/commands", r, &info); err != nil {
		return fmt.Errorf("%s campaign %q: %w", strings.ReplaceAll(string(r.Verb), "-", " "), name, err)
	}
	if v.output == outputJSON {
		return printJSON(cmd.OutOrStdout(), info)
	}
	fmt.Fprintln(cmd.ErrOrStderr(), done(info))
	return tellCampaign(cmd.OutOrStdout(), info, v.output)
}

func newCampaignPause() *cobra.Command {
	var v campaignVerb
	var until string
	r := commandRequest{Verb: campaign.Pause}
	cmd := v.command("pause", "Hand nothing more over, from the next batch of messages on",
		"What has been handed over gets its outcome. A pause lasts until somebody resumes, or until --until, also when the Campaign is\n"+
			"applied again. The starting deadline goes on: a campaign that has not begun by then expires.",
		func(cmd *cobra.Command, client *tenantClient, name string) error {
			end, err := parseUntil(until, time.Now())
			if err != nil {
				return err
			}
			r.Until = end
			return v.decide(cmd, client, name, r, func(campaignInfo) string { return fmt.Sprintf("Campaign %q is paused.", name) })
		})
	r.addReason(cmd, false)
	cmd.Flags().StringVar(&until, "until", "", "when the pause ends by itself: 2h, 1d12h, or 2027-03-21T09:00:00Z (default: when somebody resumes)")
	return cmd
}

// parseUntil reads a moment, or how long from now on.
func parseUntil(text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		length, err := campaign.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("--until: write a moment as 2027-03-21T09:00:00Z, or a length of time as 2h or 1d12h, not %q", text)
		}
		at = now.Add(length)
	}
	if !at.After(now) {
		return nil, errors.New("--until has passed: give a moment that is to come")
	}
	return &at, nil
}

func newCampaignResume() *cobra.Command {
	var v campaignVerb
	r := commandRequest{Verb: campaign.Resume}
	cmd := v.command("resume", "End a pause",
		"The campaign goes on where it stopped, where nothing else stands in the way. One that a quarantine's release has held is resumed by\n"+
			"`tertulia quarantine resume`; one with spec.suspend, in Git.",
		func(cmd *cobra.Command, client *tenantClient, name string) error {
			return v.decide(cmd, client, name, r, func(campaignInfo) string { return fmt.Sprintf("Campaign %q is not paused.", name) })
		})
	r.addReason(cmd, false)
	return cmd
}

func newCampaignAbort() *cobra.Command {
	var v campaignVerb
	return v.irrevocable(campaign.Abort, "abort", "abort", "End a campaign for good",
		"What is pending is skipped, what has been handed over gets its outcome, and nothing begins any more: no later occurrence either.\n"+
			"It cannot be undone: to send the rest, write another Campaign with another sendKey.",
		func(name string, info campaignInfo) string {
			return fmt.Sprintf("\nCampaign %q ends for good; %d messages that are pending are never sent.", name, info.Counts.Pending)
		},
		func(name string, _ campaignInfo) string { return fmt.Sprintf("Campaign %q is aborted.", name) })
}

func newCampaignResend() *cobra.Command {
	var v campaignVerb
	return v.irrevocable(campaign.ResendAmbiguous, "resend-ambiguous", "resend", "Send messages again of which nobody knows whether they arrived",
		"A message is ambiguous when it was handed over and a connection or a worker died before the answer came. Most of such messages have\n"+
			"arrived: whoever got one gets it twice. Consent, suppression and addresses are checked anew. Who decided, why, and how many\n"+
			"messages it concerned is recorded.",
		func(name string, info campaignInfo) string {
			return fmt.Sprintf("\n%d messages of campaign %q were handed over and never answered for. Sent again, whoever got one gets it twice.",
				info.Counts.Ambiguous, name)
		},
		func(name string, info campaignInfo) string {
			n := int64(0)
			if info.Again != nil {
				n = *info.Again
			}
			return fmt.Sprintf("%d messages of campaign %q are sent again.", n, name)
		})
}

// irrevocable is a verb that cannot be taken back: a person is asked first, and types the word.
func (v *campaignVerb) irrevocable(
	verb campaign.Verb, use, word, short, long string, question, done func(name string, info campaignInfo) string,
) *cobra.Command {
	var yes bool
	r := commandRequest{Verb: verb}
	cmd := v.command(use, short, long, func(cmd *cobra.Command, client *tenantClient, name string) error {
		if err := v.ask(cmd, client, name, yes, word, func(info campaignInfo) string { return question(name, info) }); err != nil {
			return err
		}
		return v.decide(cmd, client, name, r, func(info campaignInfo) string { return done(name, info) })
	})
	r.addReason(cmd, true)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// ask has a person confirm what cannot be taken back.
func (v *campaignVerb) ask(cmd *cobra.Command, client *tenantClient, name string, yes bool, word string, question func(campaignInfo) string) error {
	if yes {
		return nil
	}
	if !asksOnTerminal(cmd) {
		return fmt.Errorf("this is no terminal on which you could be asked: look at `tertulia campaign explain %s`, then give --yes", name)
	}
	info, err := client.explain(cmd.Context(), name)
	if err != nil {
		return err
	}
	return confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), question(info), word)
}
