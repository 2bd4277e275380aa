package store_test

import (
	"context"
	"testing"
)

// TestWhatRecordsGotIsTheirContacts: what was sent to a record, and what was opened of it, before and after it became part of another contact,
// moves that contact, and goes with the record when they are parted.
func TestWhatRecordsGotIsTheirContacts(t *testing.T) {
	f := newFollowing(t, 3)
	f.segment("got", `received("spring")`)
	f.segment("openers", `opened()`)
	f.segment("clickers", `clicked("spring")`)
	f.segment("silent", `received() && !clicked()`)
	f.exec(`insert into send (send_key, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline, state, frozen_at)
		values ('s', 'spring', 'news', 'mail', '{}', 9, '[]', now(), now(), 'Sending', now())`)
	f.exec("insert into ledger (send_id, seq, contact_id, state) select s.id, n, n, 'pending' from send s, generate_series(1, 3) n")
	f.exec("insert into send_chunk (send_id, chunk, first_seq, last_seq) select id, 0, 1, 3 from send")
	deliver := func(seq int) {
		t.Helper()
		f.exec(`with sent as (update ledger set state = 'sent', settled_at = now() where seq = $1 returning send_id)
			insert into send_tally (send_id, chunk, outcome, n) select send_id, 0, 'sent', 1 from sent
			on conflict (send_id, chunk, outcome) do update set n = send_tally.n + 1`, seq)
	}
	engage := func(seq int, what string) {
		t.Helper()
		f.exec("insert into engagement (at, send_id, seq, what) select clock_timestamp(), id, $1, $2 from send", seq, what)
	}
	public := func(id int64) (public string) {
		t.Helper()
		err := f.Pool.QueryRow(context.Background(), "select public_id::text from contact where id = $1", id).Scan(&public)
		if err != nil {
			t.Fatal(err)
		}
		return public
	}
	one, two, three := public(1), public(2), public(3)
	deliver(2)
	engage(2, "opened")
	f.check()
	f.want("openers", 2)
	merge := func(a, b string) {
		t.Helper()
		if _, err := f.Merge(context.Background(), a, b, decider); err != nil {
			t.Fatal(err)
		}
	}
	merge(one, two)
	f.want("got", 1)
	f.want("openers", 1)
	f.want("silent", 1)
	engage(2, "clicked") // the link in the mail that the record got
	f.want("clickers", 1)
	f.want("silent")
	deliver(3)
	f.want("got", 1, 3)
	merge(one, three)
	f.want("got", 1)
	engage(3, "opened")
	if _, err := f.Unmerge(context.Background(), []string{two}, decider); err != nil {
		t.Fatal(err)
	}
	f.want("clickers", 2)
	f.want("openers", 1, 2)
	f.want("got", 1, 2)
	f.want("silent", 1)
	f.check()
	if n := f.verify(); n != 0 {
		t.Errorf("the verification repaired %d memberships", n)
	}
}
