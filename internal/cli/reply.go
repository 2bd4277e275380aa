package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// replyOptions are what `tertulia reply` is told.
type replyOptions struct {
	agentVerb
	text, file, key string
	seen            int64
	solve, open     bool
	over            bool
}

// statusCollision is the exit status of an answer that was not sent because of what has happened meanwhile.
const statusCollision = 3

// maxReplyText is how much is read of what an agent wrote. The server takes ten thousand characters, of at most four bytes.
const maxReplyText = 40_000

// maxDraft is how much is read of a file, in which a thread may stand below the text.
const maxDraft = 16 << 20

// NewReplyCommand is `tertulia reply`: an answer.
func NewReplyCommand() *cobra.Command {
	var o replyOptions
	cmd := o.command(&cobra.Command{
		Use: "reply NUMBER", GroupID: "use", Short: "Answer a conversation, in the thread and on the network on which they wrote",
		Long: "Without a text, an editor opens ($VISUAL, $EDITOR) below which the thread stands; while you write, others see that you are answering. A file\n" +
			"that is left empty sends nothing. The text may also come from --text, --file or standard input; then --seen tells which version of the\n" +
			"conversation you have read, which `tertulia inbox show` tells.\n\n" +
			"Nobody is answered twice: where anybody wrote since, or another agent is answering, nothing is sent, and you are shown what is new (exit\n" +
			"status 3). Where the connection breaks, it is tried again and leaves once.\n\n" + agentHelp,
		Example: "  tertulia reply 1042\n" +
			"  tertulia reply 1042 --seen 4 --text 'Hola, Ana: ya está devuelto.' --solve\n" +
			"  tertulia reply 1042 --seen 4 --file answer.txt",
		Args: cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		return o.reply(cmd, client, args[0])
	})
	flags := cmd.Flags()
	flags.StringVar(&o.text, "text", "", "what to say")
	flags.StringVar(&o.file, "file", "", "a file that says it; - is standard input")
	flags.Int64Var(&o.seen, "seen", -1, "the version of the conversation that you have read")
	flags.BoolVar(&o.solve, "solve", false, "the ticket is solved by that")
	flags.BoolVar(&o.open, "keep-open", false, "the ticket stays open: more is to follow from us")
	flags.BoolVar(&o.over, "take-over", false, "answer although another agent is at it")
	flags.StringVar(&o.key, "key", "", "the name of an attempt of which you do not know what came of it, to try it again")
	cmd.MarkFlagsMutuallyExclusive("text", "file")
	cmd.MarkFlagsMutuallyExclusive("solve", "keep-open")
	return cmd
}

func (o *replyOptions) reply(cmd *cobra.Command, client *tenantClient, number string) error {
	o.key = cmp.Or(o.key, rand.Text())
	text, err := readReply(cmd, o.text, o.file)
	if err != nil {
		return err
	}
	if text == "" {
		return o.write(cmd, client, number)
	}
	if o.seen < 0 {
		return o.askSeen(cmd.Context(), client, number)
	}
	if o.over {
		if err := o.claim(cmd.Context(), client, number); err != nil {
			return collided(fmt.Errorf("answer %s: %w", number, told(err)), err)
		}
	}
	return o.send(cmd, client, number, text, "")
}

// readReply reads what is to be said; "" where an editor is to be asked.
func readReply(cmd *cobra.Command, text, file string) (string, error) {
	in := cmd.InOrStdin()
	switch {
	case text != "":
		in = strings.NewReader(text)
	case file != "" && file != "-":
		opened, err := os.Open(file) //nolint:gosec // the caller's own file
		if err != nil {
			return "", fmt.Errorf("read the text: %w", err)
		}
		defer func() { _ = opened.Close() }()
		in = opened
	case file == "" && isTerminal(in):
		return "", nil
	}
	read, err := io.ReadAll(io.LimitReader(in, maxDraft+1))
	if err != nil {
		return "", fmt.Errorf("read the text: %w", err)
	}
	said, _, _ := strings.Cut(string(read), draftEnd) // a draft has the thread below
	switch {
	case len(said) > maxReplyText:
		return "", fmt.Errorf("the text has more than %d bytes: shorten it", maxReplyText)
	case strings.TrimSpace(said) == "":
		return "", errors.New("the text says nothing")
	}
	return said, nil
}

func isTerminal(in io.Reader) bool {
	file, ok := in.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// askSeen tells what there is to be read before anything is answered.
func (o *replyOptions) askSeen(ctx context.Context, client *tenantClient, number string) error {
	var c conversationInfo
	if err := client.call(ctx, http.MethodGet, conversationPath(number, ""), nil, &c); err != nil {
		return fmt.Errorf("answer %s: %w", number, err)
	}
	last := ""
	if c.Last != nil {
		last = "; it says last: " + plainLine(c.Last.brief(), textCells)
	}
	return fmt.Errorf("--seen tells which version of the conversation you have read, so that nobody is answered twice. It is at version %d now%s\n"+
		"  read it (tertulia inbox show %s), then add --seen %d", c.Version, last, number, c.Version)
}

// claim says that the agent is answering.
func (o *replyOptions) claim(ctx context.Context, client *tenantClient, number string) error {
	return client.call(ctx, http.MethodPost, conversationPath(number, "claim"), o.body(client, map[string]any{"take_over": o.over}), nil)
}

// answered is what the API tells of an answer.
type answered struct {
	Message string `json:"message"`
	Version int64  `json:"version"`
	Again   bool   `json:"again,omitempty"`
}

// send has an answer leave. draft is the file that has its text; "" for none.
func (o *replyOptions) send(cmd *cobra.Command, client *tenantClient, number, text, draft string) error {
	more := map[string]any{"seen": o.seen, "key": o.key, "text": text}
	switch {
	case o.solve:
		more["then"] = "Solved"
	case o.open:
		more["then"] = "Open"
	}
	var out answered
	err := patiently(cmd.Context(), func() error {
		return client.call(cmd.Context(), http.MethodPost, conversationPath(number, "answer"), o.body(client, more), &out)
	})
	if err != nil {
		return o.unsent(cmd, number, draft, err)
	}
	if o.output == outputJSON {
		return printJSON(cmd.OutOrStdout(), out)
	}
	words := "it leaves now; tertulia inbox show " + number + " tells when it has"
	if out.Again {
		words = "it was taken before, and leaves once"
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is answered: %s\n", number, words)
	return err
}

// replyPauses are between tries where the server is away. The key keeps an answer from leaving twice.
var replyPauses = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}

// patiently tries again what may succeed later.
func patiently(ctx context.Context, try func() error) error {
	err := try()
	for _, pause := range replyPauses {
		if err == nil || !temporary(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		err = try()
	}
	return err
}

// unsent tells why an answer did not leave, what is new, and how to go on.
func (o *replyOptions) unsent(cmd *cobra.Command, number, draft string, err error) error {
	again := "tertulia reply " + number
	if draft != "" {
		again += " --file " + draft
	}
	problem := fmt.Errorf("answer %s: %w", number, told(err))
	var refused *serverError
	switch {
	case temporary(err) || !errors.As(err, &refused):
		again += " --seen " + strconv.FormatInt(o.seen, 10) + " --key " + o.key
		return fmt.Errorf("%w\n  Nobody knows whether it was taken. This tries it again, and sends nothing twice, with the same text: %s", problem, again)
	case refused.Status != http.StatusConflict:
		if draft != "" {
			problem = fmt.Errorf("%w\n  Your text is in %s", problem, draft)
		}
		return problem
	}
	if len(refused.New) > 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "Nothing was sent. This is new:")
		p := newDeskPrinter(cmd.ErrOrStderr())
		for i := range refused.New {
			p.message(&refused.New[i])
		}
		fmt.Fprintln(cmd.ErrOrStderr())
	}
	switch {
	case refused.Reason == "Claimed":
		problem = fmt.Errorf("%w\n  To answer all the same: %s --seen %d --take-over", problem, again, o.seen)
	case refused.Version > o.seen:
		problem = fmt.Errorf("%w\n  If your answer still holds: %s --seen %d", problem, again, refused.Version)
	case draft != "":
		problem = fmt.Errorf("%w\n  Your text is in %s", problem, draft)
	}
	return failure{statusCollision, problem}
}

// collided gives an error the exit status of a collision, where it is one.
func collided(told, err error) error {
	var refused *serverError
	if errors.As(err, &refused) && refused.Status == http.StatusConflict {
		return failure{statusCollision, told}
	}
	return told
}

// told is an error with who holds what is wanted, where the server says so.
func told(err error) error {
	var refused *serverError
	if errors.As(err, &refused) && refused.Holder != "" {
		until := ""
		if refused.Until != nil {
			until = ", until " + refused.Until.Local().Format(time.TimeOnly)
		}
		return fmt.Errorf("%w It is %s%s", err, plainLine(refused.Holder, 0), until)
	}
	return err
}

// NewNoteCommand is `tertulia note`: something to remember about a conversation.
func NewNoteCommand() *cobra.Command {
	var v agentVerb
	var text, file string
	cmd := v.command(&cobra.Command{
		Use: "note NUMBER", GroupID: "use", Short: "Write a note on a conversation, for ourselves; it never leaves", Args: cobra.ExactArgs(1),
		Long:    "The text comes from --text, --file or standard input.\n\n" + agentHelp,
		Example: "  tertulia note 1042 --text 'The bank confirms: charged twice on the 20th.'",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		said, err := readReply(cmd, text, file)
		if err != nil {
			return err
		}
		if said == "" {
			return errors.New("--text says what to note")
		}
		var out struct {
			ID string `json:"id"`
		}
		body := v.body(client, map[string]any{"text": said})
		if err := client.call(cmd.Context(), http.MethodPost, conversationPath(args[0], "note"), body, &out); err != nil {
			return fmt.Errorf("note on %s: %w", args[0], told(err))
		}
		if v.output == outputJSON {
			return printJSON(cmd.OutOrStdout(), out)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "noted on %s\n", args[0])
		return err
	})
	cmd.Flags().StringVar(&text, "text", "", "what to note")
	cmd.Flags().StringVar(&file, "file", "", "a file that says it; - is standard input")
	cmd.MarkFlagsMutuallyExclusive("text", "file")
	return cmd
}
