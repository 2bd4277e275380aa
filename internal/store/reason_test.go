package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestReason(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, refused := pgconn.Connect(ctx, "postgres://u:secret@127.0.0.1:1/x")
	tests := map[string]struct {
		reason string
		err    error
		want   string
	}{
		"Refused": {"each address would be named, twice", refused, "dial tcp 127.0.0.1:1: connect: connection refused"},
		"Said":    {"severity and code are for programs", &pgconn.PgError{Severity: "FATAL", Code: "28P01", Message: "no such role"}, "no such role"},
		"Other":   {"what is neither stays as it is", context.DeadlineExceeded, "context deadline exceeded"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Reason(tc.err); got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}

func TestBrief(t *testing.T) {
	_, refused := pgconn.Connect(t.Context(), "postgres://u:secret@127.0.0.1:1/x")
	whole := fmt.Errorf("renew leases: %w", refused)
	got := Brief(whole)
	if want := "renew leases: dial tcp 127.0.0.1:1: connect: connection refused"; got.Error() != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(got, refused) || !IsUnavailable(got) {
		t.Error("the whole error should be within")
	}
	if other := errors.New("other"); Brief(other).Error() != "other" {
		t.Error("another error should stay as it is")
	}
	private := &pgconn.PgError{Code: "22P02", Message: "invalid input syntax: \"ana@example.com\"", TableName: "contact"}
	told := Brief(fmt.Errorf("write contacts: %w", private)).Error()
	if want := `write contacts: PostgreSQL refused a statement: SQLSTATE 22P02, table "contact", constraint ""`; told != want {
		t.Errorf("a row's values must not be told: got %q, want %q", told, want)
	}
}
