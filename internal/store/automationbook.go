package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Rules carries out the rules of a tenant. It keeps their plans; what it knows of entries stands in the database alone, so that any number of
// workers share them.
//
// Time is the database's, whatever the clocks of those who work say: workers agree on it, and who is set back or ahead does nothing too early.
type Rules struct {
	// Clock moves the database's time, for who tries what comes later; nil: it is as it is.
	Clock func(time.Time) time.Time

	db *DB

	mu   sync.Mutex
	book *ruleBook // nil before the first look
}

// NewRules returns what carries out the rules of a database.
func NewRules(db *DB) *Rules { return &Rules{db: db} }

// ruleBook is the rules in force at a revision, ready to be carried out.
type ruleBook struct {
	revision  int64
	schema    crm.Schema
	keys      mentionKeys // of what tells entries apart
	zone      *time.Location
	inForce   map[int64]*boundRule
	byName    map[string]*boundRule
	listening map[int32][]*boundRule // by what their triggers listen to
	awaited   map[int32]bool         // what entries may await
	watches   map[int32]watch
	watchIDs  map[watch]int32
	broken    map[int64]string // rules that this worker cannot carry out, and why

	mu     sync.Mutex
	former map[versionKey]*boundRule // versions that are not in force any more; nil for one that cannot be carried out
}

type versionKey struct {
	rule    int64
	version int
}

// watch is something that is listened to, as domain_event_watch has it.
type watch struct {
	event, name string
	edits       bool
}

// boundRule is a version of a rule.
type boundRule struct {
	versionKey
	name string
	rule automate.Rule
	plan *automate.Plan
	// atOnce says that an entry is over in the transaction in which it begins, unless it gets stuck.
	atOnce bool
}

// errNewRules says that rules have changed since they were read.
var errNewRules = errors.New("rules have changed")

// withBook runs f in a transaction with the rules in force. The transaction begins with a statement; "" for none.
func (r *Rules) withBook(ctx context.Context, first string, f func(pgx.Tx, *ruleBook, time.Time) error) error {
	for {
		book, err := r.current(ctx)
		if err != nil {
			return err
		}
		err = r.db.InTx(ctx, func(tx pgx.Tx) error {
			var revision int64
			var now time.Time
			batch := &pgx.Batch{}
			if first != "" {
				batch.Queue(first)
			}
			batch.Queue("select revision, clock_timestamp() from automation_revision").
				QueryRow(func(row pgx.Row) error { return row.Scan(&revision, &now) })
			if err := tx.SendBatch(ctx, batch).Close(); err != nil {
				return fmt.Errorf("look whether rules have changed: %w", err)
			}
			if revision != book.revision {
				return errNewRules
			}
			if r.Clock != nil {
				now = r.Clock(now)
			}
			return f(tx, book, now.UTC())
		})
		if !errors.Is(err, errNewRules) {
			return err
		}
		r.forget(book)
	}
}

func (r *Rules) current(ctx context.Context) (*ruleBook, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.book == nil {
		book, err := r.db.loadRuleBook(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the rules: %w", err)
		}
		r.book = book
	}
	return r.book, nil
}

// forget has the rules read again.
func (r *Rules) forget(book *ruleBook) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.book == book {
		r.book = nil
	}
}

// loadRuleBook reads the revision first: rules that change meanwhile are read again.
func (db *DB) loadRuleBook(ctx context.Context) (*ruleBook, error) {
	b := &ruleBook{
		zone: time.UTC, inForce: map[int64]*boundRule{}, byName: map[string]*boundRule{}, listening: map[int32][]*boundRule{}, awaited: map[int32]bool{},
		watches: map[int32]watch{}, watchIDs: map[watch]int32{}, broken: map[int64]string{}, former: map[versionKey]*boundRule{},
	}
	var zone string
	err := db.Pool.QueryRow(ctx, "select revision, coalesce((select time_zone from tenant), 'UTC') from automation_revision").Scan(&b.revision, &zone)
	if err != nil {
		return nil, err
	}
	if found, err := time.LoadLocation(zone); err == nil {
		b.zone = found
	}
	if b.schema, err = db.LoadExpressionSchema(ctx); err != nil {
		return nil, err
	}
	if b.keys, err = db.mentionKeys(ctx); err != nil {
		return nil, err
	}
	if err := db.loadInForce(ctx, b); err != nil {
		return nil, err
	}
	if err := db.loadWatches(ctx, b); err != nil {
		return nil, err
	}
	return b, db.InTx(ctx, func(tx pgx.Tx) error {
		if err := tellTroubles(ctx, tx, versionTrouble, b.broken, time.Now()); err != nil {
			return err
		}
		return takeBackTroubles(ctx, tx, "r.trouble_of = $1 and r.id = any ($2)", versionTrouble, sortedKeys(b.inForce))
	})
}

func (db *DB) loadInForce(ctx context.Context, b *ruleBook) error {
	rows, err := db.Pool.Query(ctx, `
		select r.id, r.version, r.name, v.definition from automation_rule r join automation_version v on v.rule_id = r.id and v.version = r.version
		where r.dormant_since is null and not r.suspended and not coalesce((select suspended from tenant), false) order by r.id`)
	if err != nil {
		return err
	}
	var key versionKey
	var name string
	var definition []byte
	_, err = pgx.ForEachRow(rows, []any{&key.rule, &key.version, &name, &definition}, func() error {
		bound, err := b.bind(key, name, definition)
		if err != nil {
			b.broken[key.rule] = "It cannot be carried out: " + err.Error()
			return nil
		}
		b.inForce[key.rule], b.byName[name] = bound, bound
		return nil
	})
	return err
}

func (b *ruleBook) bind(key versionKey, name string, definition []byte) (*boundRule, error) {
	bound := &boundRule{versionKey: key, name: name}
	if err := json.Unmarshal(definition, &bound.rule); err != nil {
		return nil, fmt.Errorf("read the rule: %w", err)
	}
	plan, err := automate.Compile(bound.rule, automate.Known{Schema: b.schema})
	if err != nil {
		return nil, fmt.Errorf("compile the rule: %w", err)
	}
	bound.plan = plan
	bound.atOnce = bound.rule.MaxPerHour == 0 && !slices.ContainsFunc(bound.rule.Steps, func(s automate.Step) bool { return s.Wait != nil })
	return bound, nil
}

func (db *DB) loadWatches(ctx context.Context, b *ruleBook) error {
	rows, err := db.Pool.Query(ctx, `
		select w.id, w.event, w.name, w.edits, array(
			select l.rule_id from automation_listen l join automation_rule r on r.id = l.rule_id and r.version = l.version
			where l.watch_id = w.id and not l.awaited order by 1),
			exists (select from automation_listen l where l.watch_id = w.id and l.awaited) from domain_event_watch w`)
	if err != nil {
		return err
	}
	var id int32
	var w watch
	var rules []int64
	var awaited bool
	_, err = pgx.ForEachRow(rows, []any{&id, &w.event, &w.name, &w.edits, &rules, &awaited}, func() error {
		b.watches[id], b.watchIDs[w], b.awaited[id] = w, id, awaited
		for _, rule := range rules {
			if bound := b.inForce[rule]; bound != nil {
				b.listening[id] = append(b.listening[id], bound)
			}
		}
		rules = nil
		return nil
	})
	return err
}

// version finds a version of a rule in force; nil for one that cannot be carried out any more.
func (b *ruleBook) version(ctx context.Context, tx pgx.Tx, key versionKey) (*boundRule, error) {
	now := b.inForce[key.rule]
	if now == nil || now.version == key.version {
		return now, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if known, ok := b.former[key]; ok {
		return known, nil
	}
	var definition []byte
	err := tx.QueryRow(ctx, "select definition from automation_version where rule_id = $1 and version = $2", key.rule, key.version).Scan(&definition)
	if err != nil {
		return nil, fmt.Errorf("read version %d of rule %q: %w", key.version, now.name, err)
	}
	bound, err := b.bind(key, now.name, definition)
	if err != nil {
		bound = nil
	}
	b.former[key] = bound
	return bound, nil
}
