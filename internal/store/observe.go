package store

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/tertulia-crm/tertulia/internal/tracing"
)

// The reasons for which a database does not do what any statement asks, whatever it asks for.
const (
	unreachable = "unreachable"
	refused     = "refused"
	unavailable = "unavailable"
	timedOut    = "timeout"
	// ReadOnly is the trouble of a database that takes no writes: a standby, or one that was set so.
	ReadOnly = "read_only"
	// DiskFull is the trouble of a server whose disk is.
	DiskFull = "disk_full"
	// TooManyConnections is the trouble of a server that has none left.
	TooManyConnections = "too_many_connections"
)

// TroubleReasons are all that Trouble returns beside "".
var TroubleReasons = []string{unreachable, refused, ReadOnly, DiskFull, TooManyConnections, unavailable, timedOut}

// Trouble tells in one of a few words why the database did not do what was asked; "" where it did, where the statement itself
// was at fault, and where the caller gave up.
func Trouble(err error) string {
	var said *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return ""
	case errors.Is(err, ErrStandby):
		return ReadOnly
	case errors.As(err, &said):
		return troubleOf(said.Code, err)
	case errors.Is(err, context.DeadlineExceeded):
		return timedOut
	case IsUnavailable(err):
		return unreachable
	}
	return ""
}

func troubleOf(code string, err error) string {
	var connect *pgconn.ConnectError
	switch code {
	case "25006":
		return ReadOnly
	case "53100":
		return DiskFull
	case "53300":
		return TooManyConnections
	case "42501", "3D000":
		return refused
	}
	switch code[:min(2, len(code))] {
	case "28":
		return refused
	case "08":
		return unreachable
	case "57", "53", "58", "XX": // it stops, lacks memory, cannot read its files, or finds them damaged
		if code == "57014" { // the statement was cancelled: by us, or by a limit on its time
			return timedOut
		}
		return unavailable
	case "55":
		if errors.As(err, &connect) {
			return unavailable
		}
	}
	return ""
}

// tracer is told by the driver of every round trip: it tells Options.Observe how each ended, and records a span where
// somebody records what the round trip is for. It never looks at arguments.
type tracer struct {
	observe func(trouble string)
}

var (
	_ pgx.QueryTracer    = (*tracer)(nil)
	_ pgx.BatchTracer    = (*tracer)(nil)
	_ pgx.CopyFromTracer = (*tracer)(nil)
	_ pgx.ConnectTracer  = (*tracer)(nil)
)

type roundTripKey struct{}

// roundTrip is a span of the driver's, with the statements that are part of it.
type roundTrip struct {
	span       trace.Span
	statements []string
}

func (t *tracer) begin(ctx context.Context, statements ...string) context.Context {
	if !tracing.Recording(ctx) {
		return ctx
	}
	name := "batch"
	if len(statements) > 0 {
		name = statements[0]
	}
	ctx, span := tracing.StartClient(ctx, name, attribute.String("db.system.name", "postgresql"))
	return context.WithValue(ctx, roundTripKey{}, &roundTrip{span, statements})
}

func (t *tracer) end(ctx context.Context, err error) {
	trouble := Trouble(err)
	if t.observe != nil && !errors.Is(err, context.Canceled) {
		t.observe(trouble)
	}
	trip, ok := ctx.Value(roundTripKey{}).(*roundTrip)
	if !ok {
		return
	}
	trip.span.SetAttributes(attribute.String("db.query.summary", strings.Join(trip.statements, "; ")))
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		tracing.Failed(trip.span, FailureReason(err))
	}
	trip.span.End()
}

// FailureReason is why something that needed a database failed, in one word for spans: trouble, PostgreSQL's code, or
// "other". The error's own text may hold values of rows.
func FailureReason(err error) string {
	var said *pgconn.PgError
	switch trouble := Trouble(err); {
	case trouble != "":
		return trouble
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.As(err, &said):
		return "SQLSTATE " + shown(said.Code)
	}
	return "other"
}

// TraceQueryStart implements pgx.QueryTracer.
func (t *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if !tracing.Recording(ctx) {
		return ctx
	}
	return t.begin(ctx, summarize(data.SQL))
}

// TraceQueryEnd implements pgx.QueryTracer.
func (t *tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	t.end(ctx, data.Err)
}

// TraceBatchStart implements pgx.BatchTracer.
func (t *tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return t.begin(ctx)
}

// TraceBatchQuery implements pgx.BatchTracer.
func (t *tracer) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	if trip, ok := ctx.Value(roundTripKey{}).(*roundTrip); ok {
		trip.statements = append(trip.statements, summarize(data.SQL))
	}
}

// TraceBatchEnd implements pgx.BatchTracer.
func (t *tracer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	t.end(ctx, data.Err)
}

// TraceCopyFromStart implements pgx.CopyFromTracer.
func (t *tracer) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	return t.begin(ctx, "copy "+strings.Join(data.TableName, "."))
}

// TraceCopyFromEnd implements pgx.CopyFromTracer.
func (t *tracer) TraceCopyFromEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromEndData) {
	t.end(ctx, data.Err)
}

// TraceConnectStart implements pgx.ConnectTracer.
func (t *tracer) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return t.begin(ctx, "connect")
}

// TraceConnectEnd implements pgx.ConnectTracer.
func (t *tracer) TraceConnectEnd(ctx context.Context, data pgx.TraceConnectEndData) {
	t.end(ctx, data.Err)
}
