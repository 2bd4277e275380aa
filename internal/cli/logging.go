package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"

	"github.com/tertulia-crm/tertulia/internal/tracing"
)

// The formats of logs.
const (
	textLog = "text"
	jsonLog = "json"
)

// telling is how a process tells what it does: its log, and its spans.
type telling struct {
	format string
}

func (t *telling) register(f *pflag.FlagSet) {
	f.StringVar(&t.format, "log-format", textLog, "how the log is written: text (key=value), or json, an object a line")
}

// begin makes the process's log and, where the environment names a collector, hands its spans over. The log is in the
// context that it returns. stop hands over what is left.
func (t *telling) begin(ctx context.Context, component string, out io.Writer) (_ context.Context, stop func(), err error) {
	log, err := newLogger(t.format, out)
	if err != nil {
		return ctx, nil, err
	}
	ctx = logr.NewContext(ctx, log)
	stop, err = tracing.Export(ctx, tracing.Service{Name: "tertulia-" + component, Version: version})
	return ctx, stop, err
}

// newLogger makes a logger whose lines have the keys time (RFC 3339, UTC), level, msg and, of an error, error, whatever the
// format.
func newLogger(format string, out io.Writer) (logr.Logger, error) {
	options := &slog.HandlerOptions{ReplaceAttr: renameKeys}
	switch format {
	case textLog:
		return logr.FromSlogHandler(slog.NewTextHandler(out, options)), nil
	case jsonLog:
		return logr.FromSlogHandler(slog.NewJSONHandler(out, options)), nil
	}
	return logr.Logger{}, fmt.Errorf("--log-format %q is neither %s nor %s", format, textLog, jsonLog)
}

// renameKeys writes an error under the key under which people look for it, and times in UTC.
func renameKeys(groups []string, a slog.Attr) slog.Attr {
	switch {
	case len(groups) > 0:
	case a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime:
		a.Value = slog.StringValue(a.Value.Time().UTC().Format(time.RFC3339Nano))
	case a.Key == "err":
		a.Key = "error"
	}
	if err, ok := a.Value.Any().(error); ok && errors.Unwrap(err) != nil {
		a.Value = slog.StringValue(err.Error()) // some errors know how to marshal themselves, with more than their text
	}
	return a
}
