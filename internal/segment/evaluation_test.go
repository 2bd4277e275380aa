package segment_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/segment"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// counts are what an evaluation reports.
type counts struct{ Entered, Left int64 }

func run(t *testing.T, db *store.DB, s segment.Statement) counts {
	t.Helper()
	var c counts
	if err := db.Pool.QueryRow(context.Background(), s.SQL, s.Arguments...).Scan(&c.Entered, &c.Left); err != nil {
		t.Fatalf("evaluate: %v\n%s", err, s.SQL)
	}
	return c
}

// TestEvaluationOfEveryoneIsLinear asks for the plan while the server knows nothing of what the tables hold, as after
// an import: it must not compare everybody with everything.
func TestEvaluationOfEveryoneIsLinear(t *testing.T) {
	ctx := context.Background()
	db := storetest.New(t)
	for _, sql := range []string{
		"insert into identifier (type, value) values ('email', 'x')",
		"insert into contact (locale) select 'es' from generate_series(1, 2000)",
		`insert into event (name, occurred_at, identifier_id, contact_id, source)
			select 'purchase', now() - n * interval '1 hour', 1, 1 + n % 2000, 'x' from generate_series(1, 10000) n`,
	} {
		execute(t, db, sql)
	}
	lapsed, err := expr.Compile(crm.Schema{Events: []crm.EventType{{Name: "purchase"}}},
		`contact.locale == "es" && events("purchase").count() > 0 && events("purchase").within("90d").count() == 0`)
	if err != nil {
		t.Fatal(err)
	}
	statement := segment.Evaluation{SegmentID: 1, Predicate: lapsed.Predicate, Arguments: lapsed.Arguments}.Everyone(segment.Data)
	tx, err := db.Pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, statement.Settings); err != nil {
		t.Fatal(err)
	}
	rows, err := tx.Query(ctx, "explain "+statement.SQL, statement.Arguments...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if plan := strings.Join(lines, "\n"); strings.Contains(plan, "Nested Loop") || !strings.Contains(plan, "Anti Join") {
		t.Errorf("the plan holds a nested loop, or does not join:\n%s", plan)
	}
}

func execute(t *testing.T, db *store.DB, sql string, arguments ...any) {
	t.Helper()
	if _, err := db.Pool.Exec(context.Background(), sql, arguments...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// TestEvaluation follows a membership through its life: built, changed, confirmed, looked at in part, emptied.
func TestEvaluation(t *testing.T) {
	db := storetest.New(t)
	execute(t, db, "insert into contact (locale) select case when n % 2 = 0 then 'es' else 'en' end from generate_series(1, 10) n")
	execute(t, db, "insert into segment (name, match, digest, predicate, arguments) values ('spanish', '', '', '', '[]'), ('other', '', '', '', '[]')")
	execute(t, db, "insert into segment_member (segment_id, contact_id) values (2, 1), (2, 2)")
	// The predicate is null for a contact without a locale: that is no membership.
	spanish := segment.Evaluation{SegmentID: 1, Predicate: "c.locale = $1::text", Arguments: []string{"es"}}

	steps := []struct {
		why       string
		change    string
		statement segment.Statement
		want      counts
	}{
		{"the first evaluation builds the membership", "", spanish.First(segment.Definition), counts{5, 0}},
		{"what has not changed is not written", "", spanish.Everyone(segment.Data), counts{0, 0}},
		{
			"only the contacts in question are touched, though others have changed too",
			"update contact set locale = case id when 1 then 'es' when 3 then 'es' end where id in (1, 2, 3, 4)",
			spanish.Contacts(segment.Data, []int64{1, 2, 5}),
			counts{1, 1},
		},
		{"a whole evaluation finds the others", "", spanish.Everyone(segment.Data), counts{1, 1}},
		{"who is not there does not belong, though nulls do", "", segment.Evaluation{SegmentID: 1, Predicate: "c.locale is null"}.Contacts(segment.Data, []int64{99}), counts{0, 0}},
		{"nobody in question, nothing done", "", spanish.Contacts(segment.Data, []int64{}), counts{0, 0}},
		{"all may leave", "update contact set locale = null", spanish.Everyone(segment.Data), counts{0, 5}},
	}
	for _, step := range steps {
		if step.change != "" {
			execute(t, db, step.change)
		}
		if diff := cmp.Diff(step.want, run(t, db, step.statement)); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", step.why, diff)
		}
	}
	var tally, told int64
	if err := db.Pool.QueryRow(context.Background(), `select (select sum(n) from segment_tally where segment_id = 1),
		(select count(*) from segment_event where entered) - (select count(*) from segment_event where not entered)`).Scan(&tally, &told); err != nil {
		t.Fatal(err)
	}
	if tally != 0 || told != -5 {
		t.Errorf("the tally counts %d members, want none, and those who entered are %d more than those who left, want 5 less: who is there first does not enter", tally, told)
	}
	var others int
	if err := db.Pool.QueryRow(context.Background(), "select count(*) from segment_member where segment_id = 2").Scan(&others); err != nil || others != 2 {
		t.Errorf("another segment has %d members (%v), want its 2 untouched", others, err)
	}
}
