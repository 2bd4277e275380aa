package store

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/segment"
)

// SegmentPlans are the statements that keep a membership current, with PostgreSQL's ways to run them.
type SegmentPlans struct {
	Predicate string
	Arguments []string // of the predicate, from $1
	Everyone  StatementPlan
	Changed   StatementPlan
}

// StatementPlan is a statement, with placeholders for all arguments, and how PostgreSQL would run it.
type StatementPlan struct {
	SQL  string
	Plan []string // line by line
	Cost float64  // the planner's estimate, in its units: about one for a page that is read in order
	Rows float64  // how many contacts it expects to belong; 0 where it does not say
}

// ExplainSegment plans what is run for a segment: for everyone, planned for its arguments, and for those about whom something changed,
// planned once for any. It runs neither.
func (db *DB) ExplainSegment(ctx context.Context, name string) (p SegmentPlans, err error) {
	var d definition
	err = db.look(ctx, lookLimit, func(tx pgx.Tx) (err error) {
		if d, err = loadDefinition(ctx, tx, name); err != nil {
			return err
		}
		p.Predicate, p.Arguments = d.Predicate, d.Arguments
		everyone := d.Everyone(segment.Data)
		p.Everyone, err = explained(ctx, tx, everyone, func() (pgx.Rows, error) {
			return tx.Query(ctx, "explain "+everyone.SQL, append([]any{pgx.QueryExecModeDescribeExec}, everyone.Arguments...)...)
		})
		return err
	})
	if err == nil {
		p.Changed, err = db.explainAny(ctx, d.Contacts(segment.Data, nil))
	}
	if err != nil {
		return SegmentPlans{}, fmt.Errorf("explain segment %q: %w", name, err)
	}
	return p, nil
}

// explainedStatement is the name of a prepared statement that lives as long as it is explained.
const explainedStatement = "tertulia_explained"

// explainAny explains a statement that is planned once for whatever arguments come.
func (db *DB) explainAny(ctx context.Context, s segment.Statement) (p StatementPlan, err error) {
	conn, err := db.Pool.Acquire(ctx)
	if err != nil {
		return p, err
	}
	defer conn.Release()
	// A prepared statement outlives its transaction.
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if _, ended := conn.Exec(end, "deallocate "+explainedStatement); ended != nil && !hasCode(ended, "26000") {
			_ = conn.Conn().Close(end)
		}
	}()
	err = lookOn(ctx, conn, lookLimit, func(tx pgx.Tx) (err error) {
		if _, err := tx.Exec(ctx, "prepare "+explainedStatement+" as "+s.SQL); err != nil {
			return err
		}
		// No argument is looked at: that each is null says so.
		nulls := strings.TrimSuffix(strings.Repeat("null, ", len(s.Arguments)), ", ")
		p, err = explained(ctx, tx, s, func() (pgx.Rows, error) {
			return tx.Query(ctx, "explain execute "+explainedStatement+" ("+nulls+")", pgx.QueryExecModeSimpleProtocol)
		})
		return err
	})
	return p, err
}

var (
	planCost = regexp.MustCompile(`\(cost=[0-9.]+\.\.([0-9.]+) rows=([0-9.]+)`)
	planWho  = regexp.MustCompile(`^\s*CTE (belongs|differs)$`)
)

func explained(ctx context.Context, tx pgx.Tx, s segment.Statement, query func() (pgx.Rows, error)) (StatementPlan, error) {
	p := StatementPlan{SQL: s.SQL}
	if _, err := tx.Exec(ctx, s.Settings); err != nil {
		return p, fmt.Errorf("set up the planner: %w", err)
	}
	rows, err := query()
	if err != nil {
		return p, err
	}
	if p.Plan, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return p, err
	}
	if len(p.Plan) == 0 {
		return p, errors.New("PostgreSQL gave no plan")
	}
	p.Cost, _ = estimate(p.Plan[0])
	for i, line := range p.Plan[:len(p.Plan)-1] {
		if planWho.MatchString(line) {
			_, p.Rows = estimate(p.Plan[i+1])
		}
	}
	return p, nil
}

// estimate reads a line of a plan; 0 where it holds no estimate.
func estimate(line string) (cost, rows float64) {
	found := planCost.FindStringSubmatch(line)
	if found == nil {
		return 0, 0
	}
	cost, _ = strconv.ParseFloat(found[1], 64)
	rows, _ = strconv.ParseFloat(found[2], 64)
	return cost, rows
}
