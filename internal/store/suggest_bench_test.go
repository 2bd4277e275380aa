package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// touched counts the blocks of tables and indexes that the server has looked at.
func touched(b *testing.B, db *store.DB) (blocks float64) {
	b.Helper()
	if _, err := db.Pool.Exec(context.Background(), "select pg_stat_force_next_flush()"); err != nil {
		b.Fatal(err)
	}
	err := db.Pool.QueryRow(context.Background(), `select sum(coalesce(heap_blks_hit, 0) + coalesce(heap_blks_read, 0) + coalesce(idx_blks_hit, 0) + coalesce(idx_blks_read, 0))
		from pg_statio_user_tables`).Scan(&blocks)
	if err != nil {
		b.Fatal(err)
	}
	return blocks
}

// BenchmarkSuggest compares 200 changed contacts at a time, among 50,000 and among twice as many. An operation is one contact.
//
//	go test ./internal/store -run '^$' -bench Suggest -benchtime 4000x
func BenchmarkSuggest(b *testing.B) {
	for _, size := range []int{50_000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			ctx := context.Background()
			// One connection, so that what it has counted is told before it is asked for.
			db, err := store.Open(ctx, storetest.URL(b, suggestDB(b)), store.Options{MaxConns: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			c := crowd{rand.New(rand.NewPCG(1, 2))}
			for from := 0; from < size; from += 5000 {
				people := make([]human, 5000)
				for i := range people {
					people[i] = c.human(from + i)
				}
				columns := store.ContactColumns{Attributes: suggestAttributes}
				rows := make([]store.ContactRow, len(people))
				for i, p := range people {
					rows[i] = store.ContactRow{ExternalID: fmt.Sprint(from + i), Email: p.email, Phone: p.phone, Locale: p.locale, Attributes: []string{p.birthday, p.city, p.first, p.last}}
				}
				if _, err := db.PutContacts(ctx, "shop", columns, rows); err != nil {
					b.Fatal(err)
				}
			}
			look(b, db)
			if _, err := db.Pool.Exec(ctx, "vacuum analyze"); err != nil {
				b.Fatal(err)
			}
			r, pairs, contacts, blocks := rand.New(rand.NewPCG(3, 4)), 0, 0, 0.0
			b.ResetTimer()
			for done := 0; done < b.N; done += 200 {
				b.StopTimer()
				changed := make([]int64, min(200, b.N-done))
				for i := range changed {
					changed[i] = 1 + r.Int64N(int64(size))
				}
				if _, err := db.Pool.Exec(ctx, "update contact set attr_city = $2 where id = any ($1)", changed, c.pick(cities)); err != nil {
					b.Fatal(err)
				}
				before := touched(b, db)
				b.StartTimer()
				l, err := db.LookForSuggestions(ctx, 0, 200)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				pairs, contacts, blocks = pairs+l.Pairs, contacts+l.Contacts, blocks+touched(b, db)-before
				b.StartTimer()
			}
			b.StopTimer()
			b.ReportMetric(float64(pairs)/float64(contacts), "pairs/op")
			b.ReportMetric(blocks/float64(contacts), "blocks/op")
		})
	}
}
