package cli

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"
)

// conversationInfo is a conversation as the API tells it.
type conversationInfo struct {
	ID           string         `json:"id"`
	Number       int64          `json:"number"`
	State        string         `json:"state"`
	Version      int64          `json:"version"`
	Network      string         `json:"network"`
	Source       string         `json:"source,omitempty"`
	ReplyChannel string         `json:"reply_channel,omitempty"`
	Subject      string         `json:"subject,omitempty"`
	With         *mentionAuthor `json:"with,omitempty"`
	Contact      string         `json:"contact,omitempty"`
	WaitingSince *time.Time     `json:"waiting_since,omitempty"`
	SnoozedUntil *time.Time     `json:"snoozed_until,omitempty"`
	ClosedAt     *time.Time     `json:"closed_at,omitempty"`
	BeganAt      time.Time      `json:"began_at"`
	LastInbound  *time.Time     `json:"last_inbound,omitempty"`
	LastOutbound *time.Time     `json:"last_outbound,omitempty"`
	Messages     int64          `json:"messages"`
	Last         *talkMessage   `json:"last,omitempty"`
	Claim        *talkClaim     `json:"claim,omitempty"`
	Tickets      []ticketInfo   `json:"tickets"`
	Follows      int64          `json:"follows,omitempty"`
	Thread       []talkMessage  `json:"thread,omitempty"`
	Whole        *bool          `json:"whole,omitempty"`
}

// talkMessage is a message of one side, or a note.
type talkMessage struct {
	ID        string         `json:"id"`
	Kind      string         `json:"kind"`
	Version   int64          `json:"version,omitempty"`
	Text      string         `json:"text,omitempty"`
	Template  string         `json:"template,omitempty"`
	Forgotten bool           `json:"forgotten,omitempty"`
	At        time.Time      `json:"at"`
	Author    *mentionAuthor `json:"author,omitempty"`
	Agent     string         `json:"agent,omitempty"`
	Rule      string         `json:"rule,omitempty"`
	Mention   string         `json:"mention,omitempty"`
	URL       string         `json:"url,omitempty"`
	State     string         `json:"state,omitempty"`
	SentAt    *time.Time     `json:"sent_at,omitempty"`
	Reason    string         `json:"reason,omitempty"`
}

type talkClaim struct {
	Agent string    `json:"agent"`
	Until time.Time `json:"until"`
}

// ticketInfo is a ticket as the API tells it.
type ticketInfo struct {
	ID           string           `json:"id"`
	Number       int64            `json:"number"`
	Conversation int64            `json:"conversation"`
	Queue        string           `json:"queue,omitempty"`
	Status       string           `json:"status"`
	Priority     string           `json:"priority"`
	Assignee     string           `json:"assignee,omitempty"`
	Subject      string           `json:"subject,omitempty"`
	OpenedAt     time.Time        `json:"opened_at"`
	AnsweredAt   *time.Time       `json:"answered_at,omitempty"`
	SolvedAt     *time.Time       `json:"solved_at,omitempty"`
	ClosedAt     *time.Time       `json:"closed_at,omitempty"`
	Replies      int              `json:"replies"`
	Reopened     int              `json:"reopened"`
	Breached     bool             `json:"breached"`
	Targets      []ticketTarget   `json:"targets"`
	Took         *ticketTook      `json:"took,omitempty"`
	History      []ticketHappened `json:"history,omitempty"`
}

// ticketTarget is a promise whose clock runs.
type ticketTarget struct {
	Target      string    `json:"target"`
	Due         time.Time `json:"due"`
	WorkSeconds int64     `json:"work_seconds"`
	Overdue     bool      `json:"overdue"`
}

type ticketTook struct {
	FirstAnswer  *tookInfo `json:"first_answer,omitempty"`
	SecondAnswer *tookInfo `json:"second_answer,omitempty"`
	Solution     *tookInfo `json:"solution,omitempty"`
}

type tookInfo struct {
	WorkSeconds int64 `json:"work_seconds"`
	Seconds     int64 `json:"seconds"`
}

type ticketHappened struct {
	At    time.Time `json:"at"`
	Kind  string    `json:"kind"`
	Agent string    `json:"agent,omitempty"`
	Words string    `json:"words,omitempty"`
}

// next is what is promised of a conversation and due first, with its ticket; nil where nothing is.
func (c *conversationInfo) next() (*ticketInfo, *ticketTarget) {
	var ticket *ticketInfo
	var target *ticketTarget
	for i := range c.Tickets {
		if t := c.Tickets[i].next(); t != nil && (target == nil || t.Due.Before(target.Due)) {
			ticket, target = &c.Tickets[i], t
		}
	}
	if ticket == nil && len(c.Tickets) > 0 {
		ticket = &c.Tickets[0]
	}
	return ticket, target
}

func (t *ticketInfo) next() *ticketTarget {
	if len(t.Targets) == 0 {
		return nil
	}
	return &t.Targets[0]
}

func conversationPath(id, verb string) string {
	path := "/v1/conversations/" + url.PathEscape(id)
	if verb != "" {
		path += "/" + verb
	}
	return path
}

func ticketPath(id, verb string) string {
	path := "/v1/tickets/" + url.PathEscape(id)
	if verb != "" {
		path += "/" + verb
	}
	return path
}

// agentVerb is a verb that somebody carries out.
type agentVerb struct {
	segmentVerb
	agent string
}

// agentHelp is what each of those verbs says of agents.
const agentHelp = "The tenant's server answers; its tokens have the scope conversations:read, and conversations:write for what changes something. Who acts\n" +
	"is the token's agent, by its name. With the tenant's admin token it is you, by your user name; --agent or $TERTULIA_AGENT names another one."

func (v *agentVerb) command(cmd *cobra.Command, run func(cmd *cobra.Command, client *tenantClient, args []string) error) *cobra.Command {
	v.segmentVerb.command(cmd, run)
	cmd.Flags().StringVar(&v.agent, "agent", "", "who acts (default: $TERTULIA_AGENT, else the token's agent)")
	return cmd
}

// who is who acts, as the API reads it; "" for the token's own agent.
func (v *agentVerb) who(client *tenantClient) string {
	name := cmp.Or(v.agent, os.Getenv("TERTULIA_AGENT"))
	if name == "" && client.admin {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	return name
}

// body is what a request says besides who acts.
func (v *agentVerb) body(client *tenantClient, more map[string]any) map[string]any {
	body := map[string]any{}
	for name, value := range more {
		body[name] = value
	}
	if who := v.who(client); who != "" {
		body["agent"] = who
	}
	return body
}

// act asks for something to be done and tells that it is.
func (v *agentVerb) act(cmd *cobra.Command, client *tenantClient, what, path string, more map[string]any, done string) error {
	if err := client.call(cmd.Context(), http.MethodPost, path, v.body(client, more), nil); err != nil {
		return fmt.Errorf("%s: %w", what, told(err))
	}
	if v.output == outputJSON {
		return printJSON(cmd.OutOrStdout(), map[string]bool{"done": true})
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), done)
	return err
}
