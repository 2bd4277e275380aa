package store_test

import (
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func TestATokenCountsForWhatItCameWith(t *testing.T) {
	db := storetest.New(t)
	hence := time.Now().Add(12 * time.Hour)
	for _, step := range []struct {
		reason, channel, token, content string
		want                            bool
	}{
		{"it is the first time", "mail", "t-1", "a bounce", true},
		{"the provider did not hear the answer", "mail", "t-1", "a bounce", true},
		{"somebody plays it again", "mail", "t-1", "another bounce", false},
		{"that somebody tried changes nothing", "mail", "t-1", "a bounce", true},
		{"another channel has another key", "other", "t-1", "another bounce", true},
	} {
		got, err := db.RememberToken(t.Context(), step.channel, step.token, []byte(step.content), hence)
		if err != nil || got != step.want {
			t.Errorf("%s: got %t, %v; want %t", step.reason, got, err, step.want)
		}
	}
}

// TestTokensAreForgotten lets the time of many tokens pass: few new ones have all of them forgotten.
func TestTokensAreForgotten(t *testing.T) {
	db := storetest.New(t)
	if _, err := db.Pool.Exec(t.Context(), `insert into hook_token
		select 'mail', sha256(i::text::bytea), '', now() - interval '1 second' from generate_series(1, 30) i`); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"a", "b"} {
		if genuine, err := db.RememberToken(t.Context(), "mail", token, nil, time.Now().Add(time.Hour)); err != nil || !genuine {
			t.Fatal(genuine, err)
		}
	}
	if n := scalar[int](t, db, "select count(*)::int from hook_token"); n != 2 {
		t.Errorf("%d tokens are kept, want 2", n)
	}
}
