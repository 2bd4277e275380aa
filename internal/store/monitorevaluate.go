package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/monitor"
)

const (
	// stepsAtOnce is how many steps a worker that has to catch up evaluates in one transaction: a day.
	stepsAtOnce = 288
	// learnedHistory is how far back a topic is looked at that is new, or whose history is another one now.
	learnedHistory = 35 * 24 * time.Hour
	// evaluationLock is held by who writes incidents, until the transaction ends.
	evaluationLock = "1902115848, 28"
)

// EvaluatedTopic is what came of an evaluation.
type EvaluatedTopic struct {
	Monitor, Topic string
	// Busy says that another worker evaluates at the moment: nothing was done.
	Busy    bool
	Steps   int
	To      time.Time // up to where it is evaluated now; zero where nothing was done
	Changes []monitor.Change
	// More says that there are steps left that can be evaluated at once.
	More bool
}

// EvaluateTopic evaluates the steps of five minutes that have ended since the last time, each once, and writes what that changes with what
// the detector knows then, in one transaction. A topic that is new learns its history first; a burst in it is an incident of history.
func (db *DB) EvaluateTopic(ctx context.Context, topic int64) (e EvaluatedTopic, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		e = EvaluatedTopic{}
		var alone bool
		// One worker at a time for the whole tenant: the log of incidents is in the order of its commits.
		if err := tx.QueryRow(ctx, "select pg_try_advisory_xact_lock("+evaluationLock+")").Scan(&alone); err != nil {
			return err
		}
		if !alone {
			e.Busy = true
			return nil
		}
		w, err := loadWatched(ctx, tx, topic)
		if err != nil || w == nil {
			return err
		}
		e.Monitor, e.Topic = w.monitor, w.name
		v, err := newEvaluation(ctx, tx, w)
		if err != nil {
			return err
		}
		if err := v.run(ctx, tx); err != nil {
			return err
		}
		e.Steps, e.Changes, e.To, e.More = v.steps, v.changes, v.to, v.to.Before(w.until)
		return v.save(ctx, tx)
	})
	if err != nil {
		return e, fmt.Errorf("evaluate topic %q of monitor %q: %w", e.Topic, e.Monitor, err)
	}
	return e, nil
}

// CloseUnwatched closes the incidents that nobody follows any more, because their topic or monitor is not declared, or is a competitor's now. One
// of a monitor that is suspended goes on when that wakes.
func (db *DB) CloseUnwatched(ctx context.Context) (closed int, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		closed = 0
		rows, err := tx.Query(ctx, "select "+incidentColumns+`, t.id, clock_timestamp() from incident i
				join topic t on t.id = i.topic_id join monitor m on m.id = t.monitor_id
			where i.closed is null and (t.dropped_at is not null or m.dormant_since is not null or t.role = 'Competitor')
				and pg_try_advisory_xact_lock(`+evaluationLock+`) order by i.id for update of i`)
		if err != nil {
			return err
		}
		type unwatched struct {
			Incident
			topic int64
			now   time.Time
		}
		list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (u unwatched, err error) {
			u.Incident, err = scanIncident(row, &u.topic, &u.now)
			return u, err
		})
		if err != nil {
			return err
		}
		for _, u := range list {
			u.Closed, u.Ending = u.now.UTC(), monitor.Unwatched
			w := watched{topic: u.topic, monitor: u.Monitor, name: u.Topic}
			if err := updateIncident(ctx, tx, u.Incident); err != nil {
				return err
			}
			if err := tellIncident(ctx, tx, &w, &u.Incident, monitor.Closed, u.Closed); err != nil {
				return err
			}
			if err := noteStatusChange(ctx, tx, MonitorKind, u.Monitor); err != nil {
				return err
			}
		}
		closed = len(list)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("close incidents that nobody follows: %w", err)
	}
	return closed, nil
}

// evaluation is a topic while it is evaluated.
type evaluation struct {
	*watched
	detector *monitor.Detector
	next, to time.Time // the steps to evaluate, and then up to where they were
	open     *Incident // the incident that is open
	noted    bool      // the monitor's status is another one

	steps    int
	mentions int
	changes  []monitor.Change
}

// newEvaluation brings the detector to where it goes on.
func newEvaluation(ctx context.Context, tx pgx.Tx, w *watched) (*evaluation, error) {
	v := &evaluation{watched: w}
	before, err := topicIncidents(ctx, tx, w.topic, w.until.Add(-learnedHistory-24*time.Hour))
	if err != nil {
		return nil, err
	}
	for _, i := range before {
		if i.Closed.IsZero() {
			v.open = &i
		}
	}
	if w.relearn {
		return v, v.learn(ctx, tx, before)
	}
	v.next, v.to = *w.evaluatedTo, w.until
	if last := v.next.Add(stepsAtOnce * tallyStep); v.to.After(last) {
		v.to = last
	}
	if v.to.Before(v.next) { // a source is behind again that was not
		v.to = v.next
	}
	config, err := w.config()
	if err != nil {
		return nil, err
	}
	from := w.state.HistoryFrom(v.next, v.to).UTC().Truncate(tallyStep)
	history, err := loadCounts(ctx, tx, w, later(from, w.knownFrom), v.next, v.next.Add(-13*time.Hour))
	if err != nil {
		return nil, err
	}
	var spans []monitor.Span
	for _, s := range spansOf(before) {
		if v.open == nil || !s.From.Equal(v.open.Began) {
			spans = append(spans, s)
		}
	}
	v.detector, err = monitor.Restore(config, w.state, history, spans)
	return v, err
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// learn plays the history to a detector that knows nothing, and brings the incidents of history in line with what it finds.
func (v *evaluation) learn(ctx context.Context, tx pgx.Tx, before []Incident) error {
	config, err := v.config()
	if err != nil {
		return err
	}
	live := v.liveFrom
	if live.After(v.until) {
		live = v.until
	}
	if v.evaluatedTo != nil {
		live = later(live, *v.evaluatedTo)
	}
	from := later(live.Add(-learnedHistory), v.knownFrom)
	history, err := loadCounts(ctx, tx, v.watched, from, live, from)
	if err != nil {
		return err
	}
	if v.detector, err = monitor.New(config); err != nil {
		return err
	}
	var found []monitor.Incident
	for _, c := range history {
		changes, err := v.detector.Observe(c)
		if err != nil {
			return err
		}
		for _, change := range changes {
			if change.Kind == monitor.Closed {
				found = append(found, change.Incident)
			}
		}
	}
	plan := planHistory(before, found, v.detector.Watched())
	if err := plan.apply(ctx, tx, v.watched); err != nil {
		return err
	}
	if len(plan.spans) > 0 {
		if err := v.detector.Learn(nil, plan.spans); err != nil {
			return err
		}
	}
	v.next, v.to = live, live
	if v.until.After(live) {
		v.to = v.until
		if last := live.Add(stepsAtOnce * tallyStep); v.to.After(last) {
			v.to = last
		}
	}
	return v.resume(ctx, tx, live)
}

// resume goes on with the incident that is open. One that began in history and goes on is told of now.
func (v *evaluation) resume(ctx context.Context, tx pgx.Tx, live time.Time) error {
	if v.open != nil {
		v.detector.Resume(v.open.Incident)
		return nil
	}
	open, ok := v.detector.Open()
	if !ok {
		return nil
	}
	n, err := insertIncident(ctx, tx, v.watched, open, false)
	if err != nil {
		return err
	}
	v.open, v.noted = &n, true
	v.changes = append(v.changes, monitor.Change{Kind: monitor.Opened, At: live, Incident: open})
	return tellIncident(ctx, tx, v.watched, &n, monitor.Opened, live)
}

// run observes the steps. It ends behind an incident that closes: what is usual is learned anew then, of all history.
func (v *evaluation) run(ctx context.Context, tx pgx.Tx) error {
	counts, err := loadCounts(ctx, tx, v.watched, v.next, v.to, v.next)
	if err != nil {
		return err
	}
	for _, c := range counts {
		v.mentions += c.Mentions
		changes, err := v.detector.Observe(c)
		if err != nil {
			return err
		}
		closed := false
		for _, change := range changes {
			if err := v.take(ctx, tx, change); err != nil {
				return err
			}
			closed = closed || change.Kind == monitor.Closed
		}
		if closed && !v.relearn {
			v.to = c.Start.Add(tallyStep)
			break
		}
	}
	v.steps = int(v.to.Sub(v.next) / tallyStep)
	return nil
}

// take writes down what happened to an incident.
func (v *evaluation) take(ctx context.Context, tx pgx.Tx, change monitor.Change) error {
	v.changes, v.noted = append(v.changes, change), true
	if change.Kind == monitor.Opened {
		n, err := insertIncident(ctx, tx, v.watched, change.Incident, false)
		if err != nil {
			return err
		}
		v.open = &n
	}
	if v.open == nil {
		return fmt.Errorf("%s: no incident is open", change.Kind)
	}
	v.open.Incident = change.Incident
	if err := updateIncident(ctx, tx, *v.open); err != nil {
		return err
	}
	if err := tellIncident(ctx, tx, v.watched, v.open, change.Kind, change.At); err != nil {
		return err
	}
	if change.Kind == monitor.Closed {
		v.open = nil
	}
	return nil
}

// save writes down what the detector knows.
func (v *evaluation) save(ctx context.Context, tx pgx.Tx) error {
	if open, ok := v.detector.Open(); ok && v.open != nil {
		v.open.Incident = open
		if err := updateIncident(ctx, tx, *v.open); err != nil {
			return err
		}
	}
	state := v.detector.State()
	ready := state.Usual != nil || v.ready && !v.relearn
	_, err := tx.Exec(ctx, `update monitor_detector set evaluated_to = $2, state = $3, relearn = false, ready = $4, evaluated_at = now() where topic_id = $1`,
		v.topic, v.to, detectorState{State: state, Zone: v.zone, Known: v.knownFrom}, ready)
	if err != nil {
		return fmt.Errorf("write what the detector knows: %w", err)
	}
	if v.noted || ready != v.ready || v.mentions > 0 {
		return noteStatusChange(ctx, tx, MonitorKind, v.monitor)
	}
	return nil
}

// historyPlan says what becomes of the incidents of history.
type historyPlan struct {
	insert []monitor.Incident
	remove []int64
	spans  []monitor.Span // that are no example of the usual, beside what was found
}

// planHistory compares the incidents that are known with those that are found in a history that is another one now. Those of which somebody
// was told stay, whatever is found. Those of history are what is found, since it could be watched: those before, when it was learned what is usual,
// stay too.
func planHistory(before []Incident, found []monitor.Incident, watched time.Time) (p historyPlan) {
	overlap := func(a, b monitor.Incident) bool {
		return a.Began.Before(b.Closed) && (b.Began.Before(a.Closed) || a.Closed.IsZero())
	}
	kept := make([]bool, len(found))
	for _, b := range before {
		confirmed := false
		for i, f := range found {
			if overlap(b.Incident, f) {
				kept[i], confirmed = true, true
			}
		}
		switch {
		case b.FromHistory && !confirmed && !watched.IsZero() && b.Opened.After(watched):
			p.remove = append(p.remove, b.ID)
		case !confirmed && b.Ending == monitor.Calmed:
			p.spans = append(p.spans, monitor.Span{From: b.Began, To: b.LastUnusual})
		}
	}
	for i, f := range found {
		if !kept[i] {
			p.insert = append(p.insert, f)
		}
	}
	return p
}

func (p *historyPlan) apply(ctx context.Context, tx pgx.Tx, w *watched) error {
	for _, f := range p.insert {
		n, err := insertIncident(ctx, tx, w, f, true)
		if err != nil {
			return err
		}
		if n.Drivers, err = findDrivers(ctx, tx, w, f, f.Closed); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "update incident set drivers = $2 where id = $1", n.ID, n.Drivers); err != nil {
			return fmt.Errorf("write what drives the incident: %w", err)
		}
	}
	if _, err := tx.Exec(ctx, "delete from incident where id = any ($1) and from_history", p.remove); err != nil {
		return fmt.Errorf("remove incidents that history has no more: %w", err)
	}
	return nil
}
