package store

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/service"
)

// byName is the condition by which what people name is found: by its number, where the name is one, else by its public id.
func byName(ref string) (condition string, argument any) {
	if number, err := strconv.ParseInt(ref, 10, 64); err == nil {
		return "number = $1", number
	}
	return "public_id = $1::text::uuid", ref
}

// conversationRef finds the conversation that people mean by a public id or a number, of itself or of a ticket. It returns ErrNotFound.
func conversationRef(ctx context.Context, tx pgx.Tx, ref string) (id int64, err error) {
	condition, argument := byName(ref)
	either := "select id from conversation where " + condition + " union all select conversation_id from ticket where " + condition + " limit 1"
	err = tx.QueryRow(ctx, either, argument).Scan(&id)
	return id, unknown(err)
}

// ticketRef finds the ticket that people mean by a public id or a number: of itself, or of the conversation of which no other is open. Where none is,
// it is the last one. It returns ErrNotFound, and a refusal where it cannot be told which one is meant.
func ticketRef(ctx context.Context, tx pgx.Tx, ref string) (id int64, err error) {
	condition, argument := byName(ref)
	err = tx.QueryRow(ctx, "select id from ticket where "+condition, argument).Scan(&id)
	if err == nil || !errors.Is(err, pgx.ErrNoRows) {
		return id, unknown(err)
	}
	var conversation int64
	if err := tx.QueryRow(ctx, "select id from conversation where "+condition, argument).Scan(&conversation); err != nil {
		return 0, unknown(err)
	}
	rows, err := tx.Query(ctx, "select id, number, status from ticket where conversation_id = $1 order by id desc limit 100", conversation)
	if err != nil {
		return 0, err
	}
	type one struct {
		ID, Number int64
		Status     service.Status
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[one])
	if err != nil {
		return 0, err
	}
	if len(list) == 0 {
		return 0, turnDown(service.ReasonUnknown, "the conversation has no ticket: open one in a queue")
	}
	var open []one
	for _, t := range list {
		if !t.Status.Over() {
			open = append(open, t)
		}
	}
	switch len(open) {
	case 0:
		return list[0].ID, nil
	case 1:
		return open[0].ID, nil
	}
	var numbers []string
	for _, t := range open {
		numbers = append(numbers, strconv.FormatInt(t.Number, 10))
	}
	return 0, turnDown(service.ReasonUnknown, "the conversation has several tickets: name one of "+strings.Join(numbers, ", "))
}

// unknown is ErrNotFound for a row that is not there, and for a name that cannot be one's.
func unknown(err error) error {
	if errors.Is(err, pgx.ErrNoRows) || hasCode(err, "22P02") {
		return ErrNotFound
	}
	return err
}
