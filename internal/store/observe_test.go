package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestTrouble(t *testing.T) {
	said := func(code string) error {
		return fmt.Errorf("write: %w", &pgconn.PgError{Code: code, Message: "ana@example.com"})
	}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"nothing":                      {nil, ""},
		"no row":                       {pgx.ErrNoRows, ""},
		"the caller gave up":           {fmt.Errorf("read: %w", context.Canceled), ""},
		"the statement was at fault":   {said("23505"), ""},
		"a deadlock is tried again":    {said("40P01"), ""},
		"a relation that is not there": {said("42P01"), ""},
		"a disk that is full":          {said("53100"), "disk_full"},
		"a standby":                    {said("25006"), "read_only"},
		"no connection left":           {said("53300"), "too_many_connections"},
		"a wrong password":             {said("28P01"), "refused"},
		"a right that is missing":      {said("42501"), "refused"},
		"no such database":             {said("3D000"), "refused"},
		"it shuts down":                {said("57P01"), "unavailable"},
		"it starts":                    {said("57P03"), "unavailable"},
		"a damaged file":               {said("XX001"), "unavailable"},
		"a limit on time":              {said("57014"), "timeout"},
		"our own limit":                {context.DeadlineExceeded, "timeout"},
		"a connection that ended":      {io.ErrUnexpectedEOF, "unreachable"},
		"something else":               {errors.New("cannot scan"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := Trouble(test.err)
			if got != test.want {
				t.Errorf("trouble %q, want %q", got, test.want)
			}
			if got != "" && !slices.Contains(TroubleReasons, got) {
				t.Errorf("%q is not among the reasons that are declared", got)
			}
		})
	}
}

func TestSummarize(t *testing.T) {
	for name, test := range map[string]struct{ sql, want string }{
		"a select":              {"select a, b from send s cross join tenant where id = $1", "select send"},
		"an update":             {"update send set state = $3 where id = $1 for update", "update send"},
		"a lock":                {"select from send_chunk c where c.send_id = $1 for no key update of c", "select send_chunk"},
		"an upsert":             {"insert into status_change (kind) values ($1) on conflict (kind) do update set name = excluded.name", "insert status_change"},
		"data-modifying CTEs":   {"with lost as (update ledger l set state = 'ambiguous' returning l.seq) insert into send_tally select 1 from lost", "update ledger, insert send_tally"},
		"a function":            {"select pg_advisory_xact_lock(hashtextextended('segment/' || $1, 0))", "select"},
		"a transaction":         {"begin isolation level repeatable read", "begin"},
		"a subquery":            {"select count(*) from (select distinct m.contact_id from segment_member m) a", "select segment_member"},
		"a literal":             {"select 'delete from ana where mail = ''ana@example.com'' ' from contact", "select contact"},
		"a literal without end": {"select 'ana@example.com", "select"},
		"a quoted name":         {`update "Ana" set x = 1`, "update"},
		"a comment":             {"-- ana@example.com\nselect 1 from send -- where mail = ana", "select send"},
		"nothing":               {"  ", "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := summarize(test.sql); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
