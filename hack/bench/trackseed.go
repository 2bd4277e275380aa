package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// trackedURL is where every link of the benchmark leads.
const trackedURL = "https://velo.example/sale?utm_source=newsletter&utm_campaign=spring-2027"

// seedTracked makes a send of two variants, whose mails were handed over a minute ago, and which goes on sending, with a link. It
// writes a token of that link for each recipient into a file, in an order that has nothing to do with theirs.
func seedTracked(ctx context.Context, db *store.DB, recipients int, tokens string) error {
	tenant := store.Tenant{ID: tenantID, Namespace: tenantID, DisplayName: "Benchmarks", TimeZone: "UTC", Locales: []string{"en"}}
	if _, err := db.SaveTenant(ctx, tenant); err != nil {
		return err
	}
	for _, statement := range []string{
		`insert into send (send_key, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline, frozen_at, state, track_clicks)
			values ('spring', 'spring', 'newsletter', 'mail', '{}', 1000000000, '[{"name": "a"}, {"name": "b"}]', now(), now(), now(), 'Sending', true)`,
		`insert into ledger (send_id, seq, contact_id, address_hash, variant, state, intent_at, settled_at)
			select 1, i, i, sha256(int8send(i)), i % 2, 'sent', now() - interval '1 minute', now() - interval '1 minute'
			from generate_series(1, ` + fmt.Sprint(recipients) + `) i`,
		`insert into link (send_id, url) values (1, '` + trackedURL + `')`,
		"create table followed (at timestamptz not null, path text not null)",
		"vacuum analyze ledger",
	} {
		if _, err := db.Pool.Exec(ctx, statement); err != nil {
			return fmt.Errorf("prepare a send whose links are tracked: %w", err)
		}
	}
	key, err := db.LinkKey(ctx)
	if err != nil {
		return err
	}
	return writeTokens(tokens, render.NewSigner(key), recipients)
}

// stride is a prime above which no benchmark goes: its multiples visit every recipient once.
const stride = 1_000_003

func writeTokens(path string, signer *render.Signer, recipients int) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make the file of tokens: %w", err)
	}
	out := bufio.NewWriter(file)
	var line []byte
	for i := range recipients {
		seq := int64(i)*stride%int64(recipients) + 1
		line = append(signer.AppendTrack(line[:0], render.Track{Kind: render.TrackClick, Send: 1, Seq: seq, Link: 1}), '\n')
		_, _ = out.Write(line)
	}
	if err := errors.Join(out.Flush(), file.Close()); err != nil {
		return fmt.Errorf("write the file of tokens: %w", err)
	}
	return nil
}
