package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// listenOptions are what `tertulia listen` is told.
type listenOptions struct {
	filter mentionFilter
	tail   bool
	last   int
}

// NewListenCommand is `tertulia listen`: what comes in, as it comes.
func NewListenCommand() *cobra.Command {
	var v segmentVerb
	var o listenOptions
	cmd := v.command(&cobra.Command{
		Use: "listen [SOURCE]", GroupID: "use", Short: "Show what a source brings in, and with --tail what comes next, as it comes",
		Long: "Shows the last mentions of a SocialSource, or of all of them, a line each: when it was written, how it was judged, its language, its author\n" +
			"and its text. With --tail it goes on with those that come in, until Ctrl-C; nothing is skipped when the connection breaks in between.\n" +
			"In a terminal, red is negative and green positive, unless NO_COLOR is set.\n\n" +
			"The tenant's server answers; its tokens have the scope mentions:read.",
		Example: "  tertulia listen bluesky --tail\n" +
			"  tertulia listen --tail --monitor velo --sentiment negative\n" +
			"  tertulia listen --tail --output json | jq --unbuffered -r .text",
		Args: cobra.MaximumNArgs(1),
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		if len(args) > 0 {
			o.filter.source = args[0]
		}
		if o.last < 0 || o.last > maxMentions {
			return fmt.Errorf("--last is from 0 to %d", maxMentions)
		}
		l := listener{listenOptions: o, client: client, out: cmd.OutOrStdout(), told: cmd.ErrOrStderr(), output: v.output, pause: firstPause}
		l.printer = newMentionPrinter(l.out)
		if o.tail {
			return l.follow(cmd.Context())
		}
		return l.showLast(cmd.Context())
	})
	flags := cmd.Flags()
	o.filter.addFlags(flags)
	flags.StringVar(&o.filter.search, "search", "", "those with words, as `tertulia mentions` searches them")
	flags.BoolVar(&o.tail, "tail", false, "go on with what comes in")
	flags.IntVar(&o.last, "last", 10, "how many of those that are there to begin with")
	return cmd
}

// How long to wait before a connection that broke is made again.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// listener shows mentions as they come in.
type listener struct {
	listenOptions
	client    *tenantClient
	out, told io.Writer
	output    string
	printer   *mentionPrinter
	pause     time.Duration

	begun bool
	shown []string // those that were there to begin with: the stream may bring them again
}

// showLast shows those that are there, the newest at the end.
func (l *listener) showLast(ctx context.Context) error {
	if l.last == 0 {
		return nil
	}
	list, err := listPages[mentionInfo](ctx, l.client, "/v1/mentions", "mentions", l.filter.query(), l.last)
	if err != nil {
		return fmt.Errorf("list mentions: %w", err)
	}
	for _, m := range slices.Backward(list) {
		if err := l.show(m); err != nil {
			return err
		}
		l.shown = append(l.shown, m.ID)
	}
	return nil
}

func (l *listener) show(m mentionInfo) error {
	if l.output == outputJSON {
		return printStrangers(l.out, m)
	}
	l.printer.line(m)
	return nil
}

// take shows an event of the stream. Those that were there are shown when the stream has begun, so that nothing falls between.
func (l *listener) take(ctx context.Context, e streamEvent) error {
	if !l.begun {
		l.begun = true
		if err := l.showLast(ctx); err != nil {
			return &fatalError{err}
		}
	}
	l.pause = firstPause
	if e.name != "mention" {
		return nil
	}
	var m mentionInfo
	if err := json.Unmarshal([]byte(e.data), &m); err != nil {
		return &fatalError{fmt.Errorf("read a mention: %w", err)}
	}
	if slices.Contains(l.shown, m.ID) {
		return nil
	}
	if err := l.show(m); err != nil {
		return &fatalError{err}
	}
	return nil
}

// fatalError ends what would be tried again otherwise.
type fatalError struct{ error }

// Unwrap gives the cause.
func (e *fatalError) Unwrap() error { return e.error }

// follow shows what comes in until ctx ends. It comes back after what passes.
func (l *listener) follow(ctx context.Context) error {
	path := "/v1/mentions/stream"
	if query := l.filter.query(); len(query) > 0 {
		path += "?" + query.Encode()
	}
	var last string
	for {
		var err error
		last, err = l.client.follow(ctx, path, last, func(e streamEvent) error { return l.take(ctx, e) })
		if ctx.Err() != nil {
			return nil // a person has seen enough
		}
		var fatal *fatalError
		var refused *serverError
		switch {
		case errors.As(err, &fatal):
			return fatal.error
		case errors.As(err, &refused) && !temporary(err):
			return fmt.Errorf("listen: %w", err)
		case !errors.Is(err, io.EOF): // which is how the server ends a long stream
			fmt.Fprintf(l.told, "the connection broke (%v); trying again in %s\n", err, l.pause)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(l.pause):
		}
		l.pause = min(2*l.pause, lastPause)
	}
}
