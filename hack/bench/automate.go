package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	automateRules     = 200              // in force
	automateKinds     = 10               // of events: each is listened to by automateRules / automateKinds rules
	automateMatching  = 2                // rules that an event matches
	automatePeople    = 20_000           // who cause events
	automateIdle      = 0.01             // of a core, for who waits
	automatePatience  = 1.0              // seconds from an event to its effect
	automateEventRate = 5                // events for each change of the flag
	automateLook      = 10 * time.Second // how long it is watched what waiting costs
)

// measureRules measures how soon rules answer events, how fast a storm of them is handled, what waiting costs, and how fast those go on whose time comes
// together.
func measureRules(ctx context.Context, s Settings) (rows []Row, err error) {
	at, err := s.scratch(ctx, "automate-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, at.remove(ctx)) }()
	db, err := newDatabase(ctx, at.server, "automate")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	w := &ruleWorld{db: db, rules: store.NewRules(db), s: s}
	for _, step := range []func(context.Context) error{w.prepare, w.declare} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("make a tenant with rules: %w", err)
		}
	}
	for _, measure := range []func(context.Context) (Row, error){w.answer, w.storm, w.wait, w.drain} {
		row, err := measure(ctx)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// ruleWorld is a tenant with rules.
type ruleWorld struct {
	db    *store.DB
	rules *store.Rules
	s     Settings
}

func (w *ruleWorld) exec(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		if _, err := w.db.Pool.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func (w *ruleWorld) prepare(ctx context.Context) error {
	tenant := store.Tenant{ID: tenantID, Namespace: tenantID, DisplayName: "Benchmarks", TimeZone: "UTC", Locales: []string{"es"}}
	if _, err := w.db.SaveTenant(ctx, tenant); err != nil {
		return err
	}
	people := max(automatePeople, w.s.Rows/10)
	return w.exec(ctx,
		fmt.Sprintf(`insert into event_type (name, properties)
			select 'kind_' || k, '[{"name": "place", "type": "Integer"}]' from generate_series(0, %d) k`, automateKinds-1),
		"insert into event_type (name) values ('never')",
		"insert into channel (name, type, settings, suspended) values ('mail', 'Email', '{}', true)",
		"insert into template (name, default_locale, content, digest) values ('hello', 'es', '[]', '')",
		fmt.Sprintf("insert into contact (id) overriding system value select generate_series(1, %d)", people),
		fmt.Sprintf(`insert into identifier (id, type, value) overriding system value
			select g, 'email', 'p' || g || '@people.example' from generate_series(1, %d) g`, people),
		fmt.Sprintf(`insert into identifier_link (identifier_id, contact_id, verified, source)
			select g, g, true, 'bench' from generate_series(1, %d) g`, people),
		fmt.Sprintf("insert into consent (contact_id, purpose, granted, source) select g, 'news', true, 'bench' from generate_series(1, %d) g", people),
		"analyze")
}

func (w *ruleWorld) save(ctx context.Context, name string, rule automate.Rule) error {
	_, _, err := w.db.SaveRule(ctx, store.RuleDefinition{Name: name, Rule: rule})
	return err
}

// declare makes the rules that answer, and one in which people wait.
func (w *ruleWorld) declare(ctx context.Context) error {
	each := automateRules / automateKinds
	for i := range automateRules {
		err := w.save(ctx, fmt.Sprintf("answer-%d", i), automate.Rule{
			On:      automate.Trigger{Event: fmt.Sprintf("kind_%d", i%automateKinds)},
			When:    fmt.Sprintf("event.place == %d || event.place == %d", i/automateKinds, (i/automateKinds+1)%each),
			Reentry: automate.Reentry{Mode: automate.ReentryAlways},
			Steps:   []automate.Step{{Name: "tag", Tag: fmt.Sprintf("t%d", i)}},
		})
		if err != nil {
			return err
		}
	}
	return w.save(ctx, "patience", automate.Rule{On: automate.Trigger{Event: "never"}, Steps: []automate.Step{
		{Name: "wait", Wait: &automate.Wait{For: automate.Duration(365 * 24 * time.Hour)}},
		{Name: "mail", Send: &automate.Send{Template: "hello", Channel: "mail", Purpose: "news"}},
	}})
}

// answer has events come in from another process while two workers handle them.
func (w *ruleWorld) answer(ctx context.Context) (Row, error) {
	rate := automateEventRate * w.s.Changes
	workers := w.startWorkers(ctx)
	made, err := haveHappen(ctx, w.db.Pool.Config().ConnString(), rate, w.s.Load)
	handled, failed := workers.stop()
	if err = errors.Join(err, failed); err != nil {
		return Row{}, err
	}
	if err := w.requireEntries(ctx, made.Events*automateMatching); err != nil {
		return Row{}, err
	}
	row := Time("automate/answer", "s", percentile99(handled).Seconds(), automatePatience)
	row.Note = fmt.Sprintf("p99 from event to effect: %d events a second for %v from another process, at most %v behind its pace; %d rules, of which %d "+
		"listen to each event and %d match, two workers; bound: what it may take", rate, w.s.Load, made.Late.Round(time.Millisecond), automateRules,
		automateRules/automateKinds, automateMatching)
	return row, nil
}

// storm has many things happen at the same moment, and sees how fast two workers handle them.
func (w *ruleWorld) storm(ctx context.Context) (Row, error) {
	n := max(automateKinds, w.s.Rows/10)
	var last, fired int64
	err := w.db.Pool.QueryRow(ctx, `select coalesce(max(id), 0), (select coalesce(sum(fired), 0)::bigint from automation_tally)
		from automation_entry`).Scan(&last, &fired)
	if err != nil {
		return Row{}, fmt.Errorf("look at the entries so far: %w", err)
	}
	for first := 0; first < n; first += automateKinds * 1000 {
		some := min(automateKinds*1000, n-first)
		if _, err := w.db.Pool.Exec(ctx, happenSQL, first, automateKinds, automatePeople, automateRules/automateKinds, some); err != nil {
			return Row{}, fmt.Errorf("have something happen: %w", err)
		}
	}
	if err := settle(ctx, w.db); err != nil {
		return Row{}, err
	}
	began := time.Now()
	_, err = w.startWorkers(ctx).stop()
	took := time.Since(began)
	if err != nil {
		return Row{}, err
	}
	if err := w.requireEntries(ctx, int(fired)+n*automateMatching); err != nil {
		return Row{}, err
	}
	bound, err := w.bare(ctx, "automation_entry", fmt.Sprintf("id > %d", last), "automation_pass", "true limit "+strconv.Itoa(n*automateMatching))
	if err != nil {
		return Row{}, err
	}
	row := Rate("automate/storm", "events/s", float64(n)/took.Seconds(), float64(n)/bound.Seconds())
	row.Note = fmt.Sprintf("%d events of one moment lead to %d entries, by two workers; bound: the bare inserts of as many entries, and of who may enter "+
		"again, into tables with the same indexes",
		n, n*automateMatching)
	return row, nil
}

// bare is how long it takes to insert rows of tables, each into an empty one with the same indexes.
func (w *ruleWorld) bare(ctx context.Context, tablesAndRows ...string) (took time.Duration, err error) {
	for pair := range slices.Chunk(tablesAndRows, 2) {
		table, rows := pair[0], pair[1]
		like := fmt.Sprintf("create table bare_%s (like %s including defaults including constraints including indexes)", table, table)
		if err := w.exec(ctx, like); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := w.exec(ctx, fmt.Sprintf("insert into bare_%s select * from %s where %s", table, table, rows)); err != nil {
			return 0, err
		}
		took += time.Since(began)
		if err := w.exec(ctx, "drop table bare_"+table); err != nil {
			return 0, err
		}
	}
	return took, nil
}

// requireEntries refuses to measure rules that did too little or too much.
func (w *ruleWorld) requireEntries(ctx context.Context, want int) error {
	var fired int64
	if err := w.db.Pool.QueryRow(ctx, "select coalesce(sum(fired), 0)::bigint from automation_tally").Scan(&fired); err != nil {
		return fmt.Errorf("count what rules did: %w", err)
	}
	if fired != int64(want) {
		return fmt.Errorf("events led to %d entries, not to %d", fired, want)
	}
	return nil
}

// percentile99 is how long all but one in a hundred events took at most: each is taken to be as slow as the slowest of its transaction.
func percentile99(handled []answered) time.Duration {
	slices.SortFunc(handled, func(a, b answered) int { return cmp.Compare(b.slowest, a.slowest) })
	all := 0
	for _, h := range handled {
		all += h.events
	}
	rest := all / 100
	for _, h := range handled {
		if rest -= h.events; rest < 0 {
			return h.slowest
		}
	}
	return 0
}

// wait has people wait, and sees what looking after them costs as a worker does it.
func (w *ruleWorld) wait(ctx context.Context) (Row, error) {
	_, err := w.db.Pool.Exec(ctx, `
		insert into automation_entry (rule_id, version, key, status, state, wake_at, began_at, since)
		select r.id, r.version, 'e/' || g, 'Waiting', jsonb_build_object('step', 'wait', 'status', 'Waiting', 'turn', 1, 'since', now(), 'wakeAt',
			now() + interval '1 year'),
			now() + interval '1 year', now(), now() from automation_rule r cross join generate_series(1, $1::int) g where r.name = 'patience'`, w.s.Rows)
	if err != nil {
		return Row{}, fmt.Errorf("have people wait: %w", err)
	}
	// As autovacuum does within a minute or two.
	if err := w.exec(ctx, "vacuum analyze automation_entry", "vacuum domain_event_queue_0", "vacuum domain_event_queue_1"); err != nil {
		return Row{}, err
	}
	if err := settle(ctx, w.db); err != nil {
		return Row{}, err
	}
	cores, err := w.watch(ctx)
	if err != nil {
		return Row{}, err
	}
	row := Time("automate/waiting", "cores", cores, automateIdle)
	row.Note = fmt.Sprintf("%d entries wait in one of %d rules; what looking after them costs, of the database's process and ours; bound: what it may cost",
		w.s.Rows, automateRules+1)
	return row, nil
}

// watch looks after rules as an idle worker does, by one connection, and returns how much of a core that takes.
func (w *ruleWorld) watch(ctx context.Context) (cores float64, err error) {
	db, err := store.Open(ctx, w.db.Pool.Config().ConnString(), store.Options{MaxConns: 1})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var backend int
	rules := store.NewRules(db)
	if _, err := rules.Tick(ctx); err != nil { // rules are read once
		return 0, err
	}
	if err := db.Pool.QueryRow(ctx, "select pg_backend_pid()").Scan(&backend); err != nil {
		return 0, fmt.Errorf("find the database's process: %w", err)
	}
	before, err := backendTime(backend)
	if err != nil {
		return 0, err
	}
	used, began := processTime(), time.Now()
	for looks := 0; time.Since(began) < automateLook; looks++ {
		_, first := rules.HandleEvents(ctx, store.EventsAtOnce)
		_, second := rules.WakeEntries(ctx, store.WakesAtOnce)
		var third error
		if looks%4 == 0 {
			_, third = rules.Tick(ctx)
		}
		if err := errors.Join(first, second, third); err != nil {
			return 0, err
		}
		time.Sleep(250 * time.Millisecond)
	}
	after, err := backendTime(backend)
	return (after - before + processTime() - used).Seconds() / time.Since(began).Seconds(), err
}

// backendTime is how long a process has computed, in hundredths of a second.
func backendTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read how long the database computed: %w", err)
	}
	// Fields 14 and 15 of the file; the name in the second one may hold blanks.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read how long the database computed: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// processTime is how long this process has computed.
func processTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// drain has the time of many come at once: each gets a mail.
func (w *ruleWorld) drain(ctx context.Context) (Row, error) {
	n := max(1, w.s.Rows/10)
	err := w.exec(ctx,
		fmt.Sprintf(`insert into automation_entry (rule_id, version, contact_id, key, status, state, wake_at, began_at, since)
			select r.id, r.version, g, 'c/' || g, 'Waiting', jsonb_build_object('step', 'wait', 'status', 'Waiting', 'turn', 1, 'since', now(), 'wakeAt',
				now()), now(), now(), now()
			from automation_rule r cross join generate_series(1, %d) g where r.name = 'patience'`, n), "analyze automation_entry")
	if err != nil {
		return Row{}, err
	}
	began := time.Now()
	for again := true; again; {
		done, err := w.rules.WakeEntries(ctx, store.WakesAtOnce)
		if err != nil {
			return Row{}, err
		}
		again = done.Repeat
	}
	took := time.Since(began)
	var rows int64
	if err := w.db.Pool.QueryRow(ctx, "select count(*) from ledger where state = 'pending'").Scan(&rows); err != nil {
		return Row{}, fmt.Errorf("count the mails: %w", err)
	}
	if rows != int64(n) {
		return Row{}, fmt.Errorf("%d of %d mails stand in the ledger", rows, n)
	}
	bound, err := w.bare(ctx, "ledger", "true")
	if err != nil {
		return Row{}, err
	}
	row := Rate("automate/drain", "entries/s", float64(n)/took.Seconds(), float64(n)/bound.Seconds())
	row.Note = fmt.Sprintf("%d entries are due at once and get a mail each, by one worker; bound: the bare insert of the ledger's rows", n)
	return row, nil
}
