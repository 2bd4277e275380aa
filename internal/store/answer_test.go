package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// hostileServer is a PostgreSQL that lets everybody in and answers whatever is asked with what answer sends.
func hostileServer(t *testing.T, answer func(net.Conn)) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				backend := pgproto3.NewBackend(conn, conn)
				if _, err := backend.ReceiveStartupMessage(); err != nil {
					return
				}
				backend.Send(&pgproto3.AuthenticationOk{})
				backend.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
				backend.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
				backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
				if backend.Flush() != nil {
					return
				}
				if _, err := backend.Receive(); err == nil {
					answer(conn)
				}
			}()
		}
	}()
	return "postgres://u:p@" + listener.Addr().String() + "/d?sslmode=disable&default_query_exec_mode=simple_protocol"
}

// encoded are messages as they travel.
func encoded(t *testing.T, messages ...pgproto3.BackendMessage) []byte {
	t.Helper()
	var text []byte
	for _, m := range messages {
		var err error
		if text, err = m.Encode(text); err != nil {
			t.Fatal(err)
		}
	}
	return text
}

func TestAnAnswerIsBounded(t *testing.T) {
	row := encoded(t, &pgproto3.DataRow{Values: [][]byte{[]byte(strings.Repeat("x", 1<<16))}})
	columns := encoded(t, &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("name"), DataTypeOID: 25}}})
	status := func(n int) []byte {
		return encoded(t, &pgproto3.ParameterStatus{Name: fmt.Sprint(n), Value: strings.Repeat("x", 1<<16)})
	}
	const much = 1 << 28
	endless := func(conn net.Conn, message func(n int) []byte) {
		for n := range much >> 16 {
			if _, err := conn.Write(message(n)); err != nil {
				return
			}
		}
	}
	for name, answer := range map[string]func(net.Conn){
		"many rows": func(conn net.Conn) {
			_, _ = conn.Write(columns)
			endless(conn, func(int) []byte { return row })
		},
		"many parameters": func(conn net.Conn) { endless(conn, status) },
		"one huge error": func(conn net.Conn) {
			header := binary.BigEndian.AppendUint32([]byte{'E'}, much)
			_, _ = conn.Write(header)
			endless(conn, func(int) []byte { return row })
		},
	} {
		t.Run(name, func(t *testing.T) {
			const limit = 1 << 20
			db, err := Open(t.Context(), hostileServer(t, answer), Options{MaxConns: 1, MaxAnswer: limit})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			rows, err := db.Pool.Query(ctx, "select name")
			if err == nil {
				_, err = pgx.CollectRows(rows, pgx.RowTo[string])
			}
			runtime.ReadMemStats(&after)
			if err == nil || ctx.Err() != nil {
				t.Errorf("the answer was read to its end: %v", err)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 64*limit {
				t.Errorf("reading took %d bytes of memory", took)
			}
		})
	}
}

// TestARefusalWithoutACode has a server refuse without saying what PostgreSQL always says.
func TestARefusalWithoutACode(t *testing.T) {
	for _, code := range []string{"", "0"} {
		err := fmt.Errorf("ask: %w", &pgconn.PgError{Code: code})
		if IsUnavailable(err) || Trouble(err) != "" || IsRefused(err) {
			t.Errorf("code %q is taken for something known", code)
		}
	}
}

// TestReasonsAreBoundedAndOneLine: what a server says is shown and logged, and the server may be anybody's.
func TestReasonsAreBoundedAndOneLine(t *testing.T) {
	said := &pgconn.PgError{Code: "42501", Message: "no\nlevel=ERROR forged\x1b[2J" + strings.Repeat("é", 1<<20)}
	refused := &pgconn.PgError{Code: "23505", Message: "no", TableName: strings.Repeat("t", 1<<20), ConstraintName: "a\nb"}
	for name, text := range map[string]string{
		"reason": Reason(said), "brief": Brief(fmt.Errorf("ask: %w", said)).Error(), "of a row": Brief(fmt.Errorf("ask: %w", refused)).Error(),
		"failure": FailureReason(&pgconn.PgError{Code: strings.Repeat("x", 1<<20)}),
	} {
		if len(text) > 2000 || strings.ContainsAny(text, "\n\r\x1b") || text == "" {
			t.Errorf("%s: %d bytes, beginning with %.60q", name, len(text), text)
		}
	}
}
