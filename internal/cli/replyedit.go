package cli

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// draftEnd ends what is sent of a draft.
const draftEnd = "------------ what stands below this line is not sent ------------"

// renewEvery is how often a claim is renewed while somebody writes: three times as often as it would end.
const renewEvery = 40 * time.Second

// write has the agent write the answer, while others see that they do.
func (o *replyOptions) write(cmd *cobra.Command, client *tenantClient, number string) error {
	ctx := cmd.Context()
	if err := o.claim(ctx, client, number); err != nil {
		return collided(fmt.Errorf("answer %s: %w", number, told(err)), err)
	}
	defer o.release(client, number)
	// Read after the claim: who answered just before it is read too.
	var c conversationInfo
	if err := client.call(ctx, http.MethodGet, conversationPath(number, ""), nil, &c); err != nil {
		return fmt.Errorf("answer %s: %w", number, err)
	}
	if o.seen < 0 {
		o.seen = c.Version
	}
	draft, err := makeDraft(&c)
	if err != nil {
		return err
	}
	stop := o.renew(ctx, client, number)
	text, err := edit(ctx, draft)
	stop()
	switch {
	case err != nil:
		return fmt.Errorf("%w; what was written is in %s", err, draft)
	case text == "":
		_ = os.Remove(draft)
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "nothing was written, and nothing is sent")
		return err
	}
	if err := o.send(cmd, client, number, text, draft); err != nil {
		return err
	}
	_ = os.Remove(draft)
	return nil
}

// release gives the claim back. An answer that was taken has ended it already.
func (o *replyOptions) release(client *tenantClient, number string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // also where the agent pressed Ctrl-C
	defer cancel()
	_ = client.call(ctx, http.MethodPost, conversationPath(number, "release"), o.body(client, nil), nil) // else it ends by itself
}

// renew keeps the claim while somebody writes. It is never taken from another one: their answer is told at the end.
func (o *replyOptions) renew(ctx context.Context, client *tenantClient, number string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(renewEvery)
		defer ticker.Stop()
		again := replyOptions{agentVerb: o.agentVerb}
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				_ = again.claim(ctx, client, number)
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// makeDraft makes a file to write an answer in, with the thread below.
func makeDraft(c *conversationInfo) (string, error) {
	file, err := os.CreateTemp("", fmt.Sprintf("tertulia-reply-%d-*.txt", c.Number)) // for its owner alone
	if err != nil {
		return "", fmt.Errorf("make a draft: %w", err)
	}
	var thread bytes.Buffer
	newDeskPrinter(&thread).conversation(*c)
	_, err = fmt.Fprintf(file, "\n\n%s\n%s", draftEnd, thread.String())
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", fmt.Errorf("write a draft: %w", err)
	}
	return file.Name(), nil
}

// edit has the agent's editor change a draft, and reads what is to be sent.
func edit(ctx context.Context, draft string) (string, error) {
	editor := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"), "vi")
	// By a shell, as git does: an editor may be given with flags.
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", draft) //nolint:gosec // the agent's own editor
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("run the editor %q: %w", editor, err)
	}
	written, err := os.ReadFile(draft) //nolint:gosec // made above
	if err != nil {
		return "", fmt.Errorf("read the draft: %w", err)
	}
	text, _, found := strings.Cut(string(written), draftEnd)
	if !found {
		return "", fmt.Errorf("the line %q is gone from the draft, and the thread would be sent: put it back", draftEnd)
	}
	return strings.TrimSpace(text), nil
}
