package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

var (
	ticketStatuses   = []string{"New", "Open", "Pending", "Solved", "Closed"}
	ticketPriorities = []string{"Low", "Normal", "High", "Urgent"}
)

// NewTicketCommand is `tertulia ticket`: what is promised to whom.
func NewTicketCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ticket", Aliases: []string{"tickets"}, GroupID: "use", Short: "List tickets and queues, and change how tickets stand",
		Long: "A ticket is what is promised about a conversation: a first answer and a solution within some hours of work, as its queue says. Its number,\n" +
			"or that of the conversation where no other ticket is open, names it.\n\n" + agentHelp,
	}
	cmd.AddCommand(newTicketList(), newTicketShow(), newTicketQueues(), newTicketOpen(), newTicketPriority(),
		newTicketVerb("hold", "Wait for the customer, or for others: the clock of its solution stands still", "waits for the customer"),
		newTicketVerb("solve", "Say that a ticket is solved; what the customer writes soon after reopens it", "is solved"),
		newTicketVerb("reopen", "Go on with a ticket that is held or solved", "is open again"))
	return cmd
}

func newTicketList() *cobra.Command {
	var v agentVerb
	var statuses, priorities []string
	var queue, assignee string
	var mine, unassigned, missed bool
	var limit int
	cmd := v.command(&cobra.Command{
		Use: "list", Short: "List tickets, what is due soonest first", Args: cobra.NoArgs,
		Long:    "DUE is in the hours in which the team works, and by the clock here. AGE is since when the customer waits, by the calendar.",
		Example: "  tertulia ticket list --mine\n  tertulia ticket list --queue complaints --missed --status new,open,pending,solved",
	}, func(cmd *cobra.Command, client *tenantClient, _ []string) error {
		o := inboxOptions{queue: queue, assignee: assignee, mine: mine, unassigned: unassigned, limit: limit}
		query, err := o.query(v.who(client))
		if err != nil {
			return err
		}
		for _, list := range []struct {
			name         string
			given, known []string
		}{{"status", statuses, ticketStatuses}, {"priority", priorities, ticketPriorities}} {
			words, err := wordsOf("--"+list.name, list.given, list.known)
			if err != nil {
				return err
			}
			if words != "" {
				query.Set(list.name, words)
			}
		}
		if missed {
			query.Set("breached", "true")
		}
		list, err := listPages[ticketInfo](cmd.Context(), client, "/v1/tickets", "tickets", query, limit)
		if err != nil {
			return fmt.Errorf("list tickets: %w", err)
		}
		if v.output == outputJSON {
			return printStrangers(cmd.OutOrStdout(), map[string]any{"tickets": list})
		}
		newDeskPrinter(cmd.OutOrStdout()).tickets(list)
		return nil
	})
	flags := cmd.Flags()
	flags.StringSliceVar(&statuses, "status", nil, "new, open, pending (these three are the default), solved or closed; several with commas")
	flags.StringSliceVar(&priorities, "priority", nil, "low, normal, high or urgent; several with commas")
	flags.StringVar(&queue, "queue", "", "those of this queue")
	flags.StringVar(&assignee, "assignee", "", "those of this agent or team")
	flags.BoolVar(&mine, "mine", false, "yours")
	flags.BoolVar(&unassigned, "unassigned", false, "nobody's")
	flags.BoolVar(&missed, "missed", false, "those that missed a target")
	flags.IntVar(&limit, "limit", 50, "how many to list at most, up to "+strconv.Itoa(maxInbox))
	cmd.MarkFlagsMutuallyExclusive("mine", "assignee", "unassigned")
	return cmd
}

func newTicketShow() *cobra.Command {
	var v segmentVerb
	return v.command(&cobra.Command{
		Use: "show NUMBER", Short: "Show what is promised, how long it took, and what happened to a ticket", Args: cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		var t ticketInfo
		if err := client.call(cmd.Context(), http.MethodGet, ticketPath(args[0], ""), nil, &t); err != nil {
			return fmt.Errorf("show ticket %s: %w", args[0], told(err))
		}
		if v.output == outputJSON {
			return printStrangers(cmd.OutOrStdout(), t)
		}
		newDeskPrinter(cmd.OutOrStdout()).ticket(t)
		return nil
	})
}

func newTicketVerb(verb, short, done string) *cobra.Command {
	var v agentVerb
	return v.command(&cobra.Command{Use: verb + " NUMBER", Short: short, Args: cobra.ExactArgs(1)},
		func(cmd *cobra.Command, client *tenantClient, args []string) error {
			return v.act(cmd, client, verb+" ticket "+args[0], ticketPath(args[0], verb), nil, args[0]+" "+done)
		})
}

func newTicketPriority() *cobra.Command {
	var v agentVerb
	return v.command(&cobra.Command{
		Use: "priority NUMBER PRIORITY", Short: "Make a ticket more or less urgent; what is promised follows", Args: cobra.ExactArgs(2),
		Example: "  tertulia ticket priority 1043 urgent",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		priority, err := wordsOf("PRIORITY", args[1:], ticketPriorities)
		if err != nil {
			return err
		}
		return v.act(cmd, client, "change the priority of ticket "+args[0], ticketPath(args[0], "priority"), map[string]any{"priority": priority},
			args[0]+" is "+priority)
	})
}

func newTicketOpen() *cobra.Command {
	var v agentVerb
	var queue, priority, subject string
	cmd := v.command(&cobra.Command{
		Use: "open NUMBER --queue NAME", Short: "Make a conversation a ticket of a queue", Args: cobra.ExactArgs(1),
		Example: "  tertulia ticket open 1042 --queue complaints --priority high --subject 'charged twice'",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		more := map[string]any{"queue": queue}
		if priority != "" {
			word, err := wordsOf("--priority", []string{priority}, ticketPriorities)
			if err != nil {
				return err
			}
			more["priority"] = word
		}
		if subject != "" {
			more["subject"] = subject
		}
		var t ticketInfo
		if err := client.call(cmd.Context(), http.MethodPost, conversationPath(args[0], "tickets"), v.body(client, more), &t); err != nil {
			return fmt.Errorf("open a ticket of %s: %w", args[0], told(err))
		}
		if v.output == outputJSON {
			return printStrangers(cmd.OutOrStdout(), t)
		}
		newDeskPrinter(cmd.OutOrStdout()).ticket(t)
		return nil
	})
	flags := cmd.Flags()
	flags.StringVar(&queue, "queue", "", "the queue's name (required)")
	flags.StringVar(&priority, "priority", "", "low, normal, high or urgent (default: as the queue says)")
	flags.StringVar(&subject, "subject", "", "what it is about")
	require(cmd, "queue")
	return cmd
}

// NewAssignCommand is `tertulia assign`: whose a ticket is.
func NewAssignCommand() *cobra.Command {
	var v agentVerb
	var me, nobody bool
	cmd := v.command(&cobra.Command{
		Use: "assign NUMBER [AGENT]", GroupID: "use", Short: "Make a ticket an agent's or a team's, yours, or nobody's", Args: cobra.RangeArgs(1, 2),
		Long:    "NUMBER names the ticket, or its conversation where no other ticket of it is open.\n\n" + agentHelp,
		Example: "  tertulia assign 1043 eva\n  tertulia assign 1043 --me\n  tertulia assign 1043 --nobody",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		to, ways := "", len(args)-1
		for _, way := range []bool{me, nobody} {
			if way {
				ways++
			}
		}
		if ways != 1 {
			return errors.New("name an agent or a team, or give --me or --nobody")
		}
		done := args[0] + " is nobody's"
		switch {
		case me:
			to, done = nonEmpty(v.who(client), assigneeMe), args[0]+" is yours"
		case !nobody:
			to, done = args[1], args[0]+" is "+args[1]+"'s"
		}
		return v.act(cmd, client, "assign ticket "+args[0], ticketPath(args[0], "assign"), map[string]any{"to": to}, done)
	})
	cmd.Flags().BoolVar(&me, "me", false, "yours")
	cmd.Flags().BoolVar(&nobody, "nobody", false, "nobody's: whoever is free takes it")
	return cmd
}

// queueInfo is a queue as the API tells it.
type queueInfo struct {
	Name       string     `json:"name"`
	Suspended  bool       `json:"suspended"`
	Working    bool       `json:"working"`
	WorkBegins *time.Time `json:"work_begins,omitempty"`
	Backlog    int64      `json:"backlog"`
	Unassigned int64      `json:"unassigned"`
	Breached   int64      `json:"breached"`
	OldestAt   *time.Time `json:"oldest_at,omitempty"`
	Next       *struct {
		Ticket int64 `json:"ticket"`
		ticketTarget
	} `json:"next,omitempty"`
}

func newTicketQueues() *cobra.Command {
	var v segmentVerb
	return v.command(&cobra.Command{
		Use: "queues", Short: "List the queues: what waits in each, and what is due next", Args: cobra.NoArgs,
		Long: "BACKLOG are tickets that are neither solved nor closed, MISSED those of them that missed a target. Whether a manifest was accepted is\n" +
			"told by kubectl get servicequeues.",
	}, func(cmd *cobra.Command, client *tenantClient, _ []string) error {
		var list struct {
			Queues []queueInfo `json:"queues"`
		}
		if err := client.call(cmd.Context(), http.MethodGet, "/v1/queues", nil, &list); err != nil {
			return fmt.Errorf("list queues: %w", err)
		}
		p := newDeskPrinter(cmd.OutOrStdout())
		return printList(cmd.OutOrStdout(), v.output, list, "QUEUE\tTEAM\tBACKLOG\tNOBODY'S\tMISSED\tOLDEST\tNEXT\tDUE", func(table io.Writer) {
			for _, q := range list.Queues {
				fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\t%s\n", q.Name, p.team(&q), q.Backlog, q.Unassigned, q.Breached, p.oldest(&q), p.nextOf(&q))
			}
		})
	})
}

// team tells whether a queue's team works.
func (p *deskPrinter) team(q *queueInfo) string {
	switch {
	case q.Suspended:
		return "suspended"
	case q.Working:
		return "works"
	case q.WorkBegins != nil:
		return "from " + p.clock(*q.WorkBegins)
	}
	return "does not work"
}

func (p *deskPrinter) oldest(q *queueInfo) string {
	if q.OldestAt == nil {
		return "-"
	}
	return span(p.now().Sub(*q.OldestAt))
}

// nextOf are two cells of a table: which ticket is due next, and when.
func (p *deskPrinter) nextOf(q *queueInfo) string {
	if q.Next == nil {
		return "-\t-"
	}
	return fmt.Sprintf("%d\t%s", q.Next.Ticket, p.due(&q.Next.ticketTarget))
}
