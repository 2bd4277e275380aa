package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/coder/websocket"
)

// hear reads a stream to its end and commits each text that has a keyword.
func (b ingestBench) hear(ctx context.Context, url string, events *ingestEvents, total int64) error {
	conn, _, err := websocket.Dial(ctx, url, nil) //nolint:bodyclose // there is none beside a connection
	if err != nil {
		return fmt.Errorf("connect to the stream: %w", err)
	}
	defer conn.CloseNow() //nolint:errcheck // it is over
	conn.SetReadLimit(1 << 20)
	last := events.at(total - 1).UnixMicro()
	for {
		_, message, err := conn.Read(ctx)
		if err != nil {
			return fmt.Errorf("read the stream: %w", err)
		}
		var e jetstreamEvent
		if err := json.Unmarshal(message, &e); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		if hasKeyword(e.Commit.Record.Text) {
			id := "at://" + e.DID + "/" + e.Commit.Collection + "/" + e.Commit.RKey
			if _, err := b.db.Pool.Exec(ctx, "insert into heard values ($1, $2)", id, e.Commit.Record.Text); err != nil {
				return fmt.Errorf("store a text: %w", err)
			}
		}
		if e.TimeUS >= last {
			return nil
		}
	}
}

func hasKeyword(text string) bool {
	for _, word := range ingestKeywords {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}
