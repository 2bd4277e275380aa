package cli

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// inboxOptions are what `tertulia inbox` is told.
type inboxOptions struct {
	states                           []string
	queue, assignee, source, contact string
	network                          string
	mine, unassigned                 bool
	limit                            int
}

// maxInbox is how many conversations or tickets are listed at most.
const maxInbox = 2000

// talkStates are the states of conversations, as the API names them.
var talkStates = []string{"Open", "Waiting", "Snoozed", "Closed"}

// NewInboxCommand is `tertulia inbox`: who waits for an answer.
func NewInboxCommand() *cobra.Command {
	var v agentVerb
	var o inboxOptions
	cmd := v.command(&cobra.Command{
		Use: "inbox", GroupID: "use", Short: "Show who waits for an answer, and what is due next",
		Long: "Lists conversations: those first in which somebody waits for us, the longest first. DUE is what is promised of their tickets, in the hours\n" +
			"in which the team works, and by the clock here. A number names a conversation, or a ticket of it: every verb takes either.\n\n" + agentHelp,
		Example: "  tertulia inbox\n" +
			"  tertulia inbox --mine\n" +
			"  tertulia inbox --queue complaints --unassigned\n" +
			"  tertulia inbox --state waiting,snoozed --output json | jq '.conversations[].number'",
		Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, client *tenantClient, _ []string) error {
		query, err := o.query(v.who(client))
		if err != nil {
			return err
		}
		list, err := listPages[conversationInfo](cmd.Context(), client, "/v1/conversations", "conversations", query, o.limit)
		if err != nil {
			return fmt.Errorf("list conversations: %w", err)
		}
		if v.output == outputJSON {
			return printStrangers(cmd.OutOrStdout(), map[string]any{"conversations": list})
		}
		newDeskPrinter(cmd.OutOrStdout()).inbox(list)
		return nil
	})
	o.addFlags(cmd)
	cmd.AddCommand(newInboxShow(), newInboxClaim(), newInboxRelease(), newInboxSnooze(), newInboxReopen(), newInboxTake(), newInboxSettle())
	return cmd
}

func (o *inboxOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&o.states, "state", nil, "open (the default: it is our turn), waiting (it is theirs), snoozed or closed; several with commas")
	flags.StringVar(&o.queue, "queue", "", "those with a ticket of this queue")
	flags.StringVar(&o.assignee, "assignee", "", "those with a ticket of this agent or team")
	flags.BoolVar(&o.mine, "mine", false, "those with a ticket of yours")
	flags.BoolVar(&o.unassigned, "unassigned", false, "those that are nobody's")
	flags.StringVar(&o.source, "source", "", "those that a source brought")
	flags.StringVar(&o.network, "network", "", "those of a network's instance, such as bluesky or mastodon:social.example")
	flags.StringVar(&o.contact, "contact", "", "those with the contact of this id")
	flags.IntVar(&o.limit, "limit", 50, "how many to list at most, up to "+strconv.Itoa(maxInbox))
	cmd.MarkFlagsMutuallyExclusive("mine", "assignee", "unassigned")
}

// query is what the API is asked. who acts is whose "mine" are; "" for the token's own agent.
func (o *inboxOptions) query(who string) (url.Values, error) {
	if o.limit < 1 || o.limit > maxInbox {
		return nil, fmt.Errorf("--limit is from 1 to %d", maxInbox)
	}
	query := url.Values{}
	states, err := wordsOf("--state", o.states, talkStates)
	if err != nil {
		return nil, err
	}
	if o.mine {
		o.assignee = cmp.Or(who, assigneeMe)
	}
	for name, value := range map[string]string{
		"state": states, "queue": o.queue, "assignee": o.assignee, "source": o.source, "network": o.network, "contact": o.contact,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if o.unassigned {
		query.Set("unassigned", "true")
	}
	return query, nil
}

// assigneeMe is what the API calls the agent of the token.
const assigneeMe = "me"

// wordsOf reads words of a flag, in whatever letters, as the API names them, and joins them.
func wordsOf(flag string, given, known []string) (string, error) {
	var words []string
	for _, word := range given {
		at := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, strings.TrimSpace(word)) })
		if at < 0 {
			return "", fmt.Errorf("%s: %q is none: name %s", flag, word, strings.ToLower(strings.Join(known, ", ")))
		}
		words = append(words, known[at])
	}
	return strings.Join(words, ","), nil
}

func newInboxShow() *cobra.Command {
	var v segmentVerb
	return v.command(&cobra.Command{
		Use: "show NUMBER", Short: "Show what both sides wrote, our notes, and what is promised", Args: cobra.ExactArgs(1),
		Example: "  tertulia inbox show 1042",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		var c conversationInfo
		if err := client.call(cmd.Context(), http.MethodGet, conversationPath(args[0], ""), nil, &c); err != nil {
			return fmt.Errorf("show conversation %s: %w", args[0], err)
		}
		if v.output == outputJSON {
			return printStrangers(cmd.OutOrStdout(), c)
		}
		newDeskPrinter(cmd.OutOrStdout()).conversation(c)
		return nil
	})
}

func newInboxClaim() *cobra.Command {
	var v agentVerb
	var length time.Duration
	var over bool
	cmd := v.command(&cobra.Command{
		Use: "claim NUMBER", Short: "Say that you are answering, so that no other does",
		Long: "It ends by itself. `tertulia reply` with an editor claims while you write.", Args: cobra.ExactArgs(1),
		Example: "  tertulia inbox claim 1042 --for 10m",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		if length < time.Second || length > 15*time.Minute {
			return errors.New("--for is from 1s to 15m")
		}
		var out struct {
			Claim talkClaim `json:"claim"`
		}
		body := v.body(client, map[string]any{"seconds": int(length / time.Second), "take_over": over})
		if err := client.call(cmd.Context(), http.MethodPost, conversationPath(args[0], "claim"), body, &out); err != nil {
			return fmt.Errorf("claim conversation %s: %w", args[0], told(err))
		}
		if v.output == outputJSON {
			return printJSON(cmd.OutOrStdout(), out)
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is answering %s until %s\n", out.Claim.Agent, args[0], out.Claim.Until.Local().Format(time.TimeOnly))
		return err
	})
	cmd.Flags().DurationVar(&length, "for", 2*time.Minute, "how long it counts, up to 15m")
	cmd.Flags().BoolVar(&over, "take-over", false, "take it from who is answering")
	return cmd
}

// newTalkVerb is a verb that needs to know nothing but the conversation.
func newTalkVerb(cmd *cobra.Command, verb, doing, done string) *cobra.Command {
	var v agentVerb
	cmd.Args = cobra.ExactArgs(1)
	return v.command(cmd, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		return v.act(cmd, client, doing+" conversation "+args[0], conversationPath(args[0], verb), nil, args[0]+" "+done)
	})
}

func newInboxRelease() *cobra.Command {
	return newTalkVerb(&cobra.Command{Use: "release NUMBER", Short: "Give your claim back"}, "release", "release", "is free for others to answer")
}

func newInboxReopen() *cobra.Command {
	return newTalkVerb(&cobra.Command{
		Use: "reopen NUMBER", Short: "Take a conversation up again that was closed or put away",
		Long: "Tickets stay as they are: see `tertulia ticket reopen`.",
	}, "reopen", "reopen", "is open again")
}

// NewCloseCommand is `tertulia close`: the end of a conversation.
func NewCloseCommand() *cobra.Command {
	return newTalkVerb(&cobra.Command{
		Use: "close NUMBER", GroupID: "use", Short: "End a conversation, and solve its tickets",
		Long:    "Nothing is sent. Where they write again soon, it opens again; later it is another conversation.\n\n" + agentHelp,
		Example: "  tertulia close 1042",
	}, "close", "close", "is closed")
}

func newInboxSnooze() *cobra.Command {
	var v agentVerb
	var until string
	cmd := v.command(&cobra.Command{
		Use: "snooze NUMBER --until TIME", Short: "Put a conversation away until a moment, or until they write", Args: cobra.ExactArgs(1),
		Long:    "What is promised of its tickets stays promised.",
		Example: "  tertulia inbox snooze 1042 --until 2h\n  tertulia inbox snooze 1042 --until '2026-11-30 09:00'",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		at, err := futureTime(until, time.Now())
		if err != nil {
			return fmt.Errorf("--until: %w", err)
		}
		return v.act(cmd, client, "put away conversation "+args[0], conversationPath(args[0], "snooze"), map[string]any{"until": at.UTC().Format(time.RFC3339)},
			args[0]+" comes back on "+at.Local().Format("Mon 2006-01-02 15:04"))
	})
	cmd.Flags().StringVar(&until, "until", "", "a duration (2h, 3d), a date or a time (2026-11-30 09:00)")
	require(cmd, "until")
	return cmd
}

// futureTime reads a time to come: in how long it is, a date here, or a time.
func futureTime(text string, now time.Time) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", "2006-01-02T15:04"} {
		if err != nil {
			at, err = time.ParseInLocation(layout, text, now.Location())
		}
	}
	if err != nil {
		if days, ok := strings.CutSuffix(text, "d"); ok {
			var n int
			if n, err = strconv.Atoi(days); err == nil && n > 0 && n <= 366 {
				at = now.AddDate(0, 0, n)
			}
		} else if length, wrong := time.ParseDuration(text); wrong == nil {
			at, err = now.Add(length), nil
		}
	}
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("%q is no time: write in how long (2h, 3d), a date (2026-11-30) or a time (2026-11-30 09:00)", text)
	case !at.After(now):
		return time.Time{}, fmt.Errorf("%q has passed: name a later time", text)
	}
	return at, nil
}

func newInboxTake() *cobra.Command {
	var v agentVerb
	return v.command(&cobra.Command{
		Use: "take MENTION", Short: "Begin a conversation with who wrote a post that was not to us",
		Long: "MENTION is an id that `tertulia mentions` and `tertulia listen` show.", Args: cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		var c conversationInfo
		if err := client.call(cmd.Context(), http.MethodPost, mentionPath(args[0])+"/conversation", v.body(client, nil), &c); err != nil {
			return fmt.Errorf("take up mention %s: %w", args[0], told(err))
		}
		if v.output == outputJSON {
			return printStrangers(cmd.OutOrStdout(), c)
		}
		newDeskPrinter(cmd.OutOrStdout()).conversation(c)
		return nil
	})
}

// verdicts are what may be said of an answer, by the flags that say it.
var verdicts = map[string]string{"sent": "Sent", "failed": "Failed", "again": "Again"}

func newInboxSettle() *cobra.Command {
	var v agentVerb
	var sent, failed, again bool
	var reason, address string
	cmd := v.command(&cobra.Command{
		Use: "settle NUMBER MESSAGE", Short: "Say what became of an answer that may have arrived, or that failed",
		Long: "An answer is ambiguous where the network fell silent just when it was handed over, and could not be asked since. Look there first.\n" +
			"`tertulia inbox show` tells the message's id.",
		Args:    cobra.ExactArgs(2),
		Example: "  tertulia inbox settle 1042 7d0c2f5e-1111-4222-8333-944455566677 --again --reason 'not in the thread'",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		more := map[string]any{"why": reason}
		for name, said := range map[string]bool{"sent": sent, "failed": failed, "again": again} {
			if said {
				more["verdict"] = verdicts[name]
			}
		}
		if address != "" {
			more["url"] = address
		}
		path := conversationPath(args[0], "messages/"+url.PathEscape(args[1])+"/settle")
		return v.act(cmd, client, "settle an answer of "+args[0], path, more, "settled")
	})
	flags := cmd.Flags()
	flags.BoolVar(&sent, "sent", false, "it is there")
	flags.BoolVar(&failed, "failed", false, "it is not there, and need not be")
	flags.BoolVar(&again, "again", false, "it is not there: it leaves again")
	flags.StringVar(&reason, "reason", "", "how you know; recorded (required)")
	flags.StringVar(&address, "url", "", "where it is")
	cmd.MarkFlagsMutuallyExclusive("sent", "failed", "again")
	cmd.MarkFlagsOneRequired("sent", "failed", "again")
	require(cmd, "reason")
	return cmd
}
