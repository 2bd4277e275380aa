package work

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// maxConnections bounds a tenant's pool: two chunks a channel, the loops, and a freeze that holds a lock.
const maxConnections = 8

// checkTimeout is how long a database may take to say that it can be used. Who is slower does not answer.
const checkTimeout = 5 * time.Second

// endTimeout is how long a tenant's work may take to end beside what Options.Grace gives it.
const endTimeout = 10 * time.Second

// tenant is the work for one tenant.
type tenant struct {
	o     Options
	watch *health.Watch
	ready func(trouble error)
	id    string
	db    *store.DB
	rules *store.Rules
	notes *statusNotes
	began time.Time     // the process
	news  chan struct{} // the credentials are others

	drains    drains                   // of the measuring loop alone
	sizes     map[string]int64         // of segments; likewise
	monitors  monitorMeasures          // likewise
	languages map[string]bool          // in which something was learned from corrections; likewise
	troubles  map[string]listen.Reason // of sources, "" for none; likewise

	secretsMu sync.Mutex
	secrets   credentials.Tenant // those in use
}

func newTenant(w *Worker, dir string, c credentials.Tenant) *tenant {
	return &tenant{
		o: w.o, watch: w.watch, ready: func(trouble error) { w.tenants.Set(dir, trouble) },
		id: c.ID, secrets: c, notes: newStatusNotes(w.o.StatusEvery), began: w.began, news: make(chan struct{}, 1),
		drains: drains{},
	}
}

// setSecrets takes over changed credentials, with which connections are made anew when they are next used: to the relays,
// and to the database, which must be the same. What is in flight goes on by the connections that it has.
func (t *tenant) setSecrets(c credentials.Tenant) error {
	t.secretsMu.Lock()
	defer t.secretsMu.Unlock()
	if t.db != nil && c.DatabaseURL != t.secrets.DatabaseURL {
		if err := t.db.ChangeLogin(c.DatabaseURL); err != nil {
			return err
		}
	}
	t.secrets = c
	t.noteCredentials()
	signal(t.news)
	return nil
}

// open opens the database with the credentials of this moment.
func (t *tenant) open(ctx context.Context) (err error) {
	t.secretsMu.Lock()
	defer t.secretsMu.Unlock()
	t.db, err = store.Open(ctx, t.secrets.DatabaseURL, store.Options{
		MaxConns: maxConnections, ApplicationName: "tertulia worker", IdleInTransaction: t.o.Lease,
		Observe: t.o.Metrics.database.Observer(t.id),
	})
	if err == nil {
		t.rules = store.NewRules(t.db)
	}
	return err
}

// channelCredentials are the credentials of a channel as they are now; without any, the zero value.
func (t *tenant) channelCredentials(name string) credentials.Channel {
	t.secretsMu.Lock()
	defer t.secretsMu.Unlock()
	return t.secrets.Channels[name]
}

// sayProcess says in the tenant's database that this worker is there, and whose credentials it uses: it does so by a
// connection that was made with them.
func (t *tenant) sayProcess(ctx context.Context) error {
	t.secretsMu.Lock()
	digest := t.secrets.Digest
	t.secretsMu.Unlock()
	return t.db.SaveProcess(ctx, store.Process{
		ID: t.o.ID, Kind: store.WorkerProcess, Version: t.o.Version, Digest: digest, Uptime: time.Since(t.began),
	})
}

// run works for the tenant until ctx ends. It returns an error only for what waiting cannot mend.
func (t *tenant) run(ctx context.Context) error {
	begins := t.watch.Begin(t.id, "begin", t.o.StatementLimit)
	defer begins.End()
	if err := t.open(ctx); err != nil {
		return err
	}
	defer t.db.Close()
	t.noteCredentials()
	defer t.o.Metrics.Forget(t.id)
	begins.End()
	if t.awaitDatabase(ctx); ctx.Err() != nil {
		return nil
	}
	logr.FromContextOrDiscard(ctx).Info("working for the tenant")
	listening, err := newListenLoop(t)
	if err != nil {
		return err
	}
	sender := newSender(t)
	segments, builds, verify := newSegmentLoop(t), newBuildLoop(t), &verifyLoop{tenant: t}
	campaigns := newCampaignLoop(t)
	var loops sync.WaitGroup
	loops.Go(func() { t.repeat(ctx, "segments", t.o.SegmentPoll, nil, segments.round) })
	loops.Go(func() { t.repeat(ctx, "builds", t.o.SweepPoll, segments.builds, builds.round) })
	loops.Go(func() { t.repeat(ctx, "verify", t.o.VerifyPoll, nil, verify.round) })
	loops.Go(func() { t.repeat(ctx, "suggestions", t.o.SuggestPoll, nil, (&suggestLoop{tenant: t}).round) })
	loops.Go(func() { t.repeat(ctx, "monitors", t.o.MonitorPoll, nil, (&monitorLoop{tenant: t}).round) })
	loops.Go(func() { t.repeat(ctx, "sentiment", t.o.SentimentPoll, nil, (&sentimentLoop{tenant: t}).round) })
	loops.Go(func() { t.repeat(ctx, "topics", t.o.MonitorPoll, nil, (&topicLoop{tenant: t}).round) })
	loops.Go(func() { t.repeat(ctx, "influence", t.o.MonitorPoll, nil, (&influenceLoop{tenant: t}).round) })
	rules, outbox := &ruleLoop{tenant: t}, newOutboxLoop(t)
	loops.Go(func() { t.repeat(ctx, "rules", t.o.RulePoll, nil, rules.events) })
	loops.Go(func() { t.repeat(ctx, "waits", t.o.RulePoll, nil, rules.wakes) })
	loops.Go(func() { t.repeat(ctx, "schedules", t.o.CampaignPoll, nil, rules.ticks) })
	loops.Go(func() { t.repeat(ctx, "entries", t.o.SweepPoll, nil, rules.sweep) })
	loops.Go(func() {
		defer outbox.close()
		t.repeat(ctx, "outbox", t.o.CampaignPoll, nil, outbox.round)
	})
	conversations := newConversationLoop(t)
	loops.Go(func() { t.repeat(ctx, "messages", t.o.RulePoll, nil, conversations.threads) })
	loops.Go(func() { t.repeat(ctx, "tickets", t.o.CampaignPoll, nil, conversations.tend) })
	loops.Go(func() { t.repeat(ctx, "queues", t.o.StatusEvery, nil, conversations.tell) })
	loops.Go(func() { t.repeat(ctx, "sources", t.o.SweepPoll, nil, t.settleSources) })
	loops.Go(func() { t.repeat(ctx, "campaigns", t.o.CampaignPoll, sender.finished, campaigns.round) })
	loops.Go(func() { t.repeat(ctx, "database", t.o.DatabasePoll, nil, health.Within(checkTimeout, t.checkDatabase)) })
	loops.Go(func() {
		t.repeat(ctx, "process", store.ProcessInterval, t.news, health.Within(t.o.StatementLimit, t.sayProcess))
	})
	loops.Go(func() { t.repeat(ctx, "sweep", t.o.SweepPoll, nil, health.Within(t.o.EvaluationLimit, t.sweep)) })
	loops.Go(func() {
		t.repeat(ctx, "status", t.o.StatusEvery/5+1, nil, health.Within(t.o.StatementLimit, t.flushNotes))
	})
	loops.Go(func() { t.repeat(ctx, "measure", t.o.MeasurePoll, nil, health.Within(t.o.StatementLimit, t.measure)) })
	loops.Go(func() { t.repeat(ctx, "audit", t.o.AuditPoll, nil, health.Within(t.o.EvaluationLimit, t.audit)) })
	loops.Go(func() { t.repeat(ctx, "pace", t.o.PacePoll, nil, sender.tendPaces) })
	if !t.o.NoLookups {
		receivers := &receiverLoop{tenant: t}
		loops.Go(func() { t.repeat(ctx, "receivers", t.o.LookupPoll, nil, receivers.round) })
	}
	loops.Go(func() { t.repeat(ctx, "consents", t.o.CampaignPoll, nil, t.answerRequests) })
	loops.Go(func() { t.repeat(ctx, "returns", t.o.ReturnsPoll, nil, newReturnsLoop(t).round) })
	loops.Go(func() { t.repeat(ctx, "retention", purgeEvery, nil, t.purgeConsents) })
	loops.Go(func() { t.repeat(ctx, "mentions", t.o.SweepPoll, nil, t.sweepMentions) })
	loops.Go(func() { listening.run(ctx) })
	loops.Go(func() { sender.run(ctx) })
	<-ctx.Done()
	ends := t.watch.Begin(t.id, "end", t.o.Grace+endTimeout)
	defer ends.End()
	loops.Wait()
	return t.sayGoodbye(ctx)
}

// sayGoodbye tells what the last outcomes changed, and that this worker has ended, before the connections are closed. The
// rest of the shutdown does not wait for it.
func (t *tenant) sayGoodbye(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for _, name := range t.notes.rest() {
		if err := t.db.NoteStatusChange(ctx, store.CampaignKind, name); err != nil {
			return fmt.Errorf("tell the operator of the last outcomes: %w", err)
		}
	}
	return t.db.DeleteProcess(ctx, t.o.ID)
}

// errTold says that the log knows of an error already.
var errTold = errors.New("told")

// awaitDatabase waits until the database can be used: it answers, belongs to this tenant, and is migrated. Nothing is
// sent from a database whose tenant has another id than the directory says.
func (t *tenant) awaitDatabase(ctx context.Context) {
	log := logr.FromContextOrDiscard(ctx)
	ctx, found := context.WithCancel(ctx)
	defer found()
	told := ""
	t.repeat(ctx, "database", t.o.CampaignPoll, nil, health.Within(checkTimeout, func(ctx context.Context) error {
		err := t.checkDatabase(ctx)
		if err == nil {
			found()
			return nil
		}
		// It is away, or not migrated yet, or somebody else's: each is said once.
		words := store.Brief(err).Error()
		if why := cmp.Or(store.Trouble(err), words); why != told {
			log.Info("waits for the tenant's database", "error", words)
			told = why
		}
		return fmt.Errorf("%w: %w", errTold, err)
	}))
}

// checkDatabase looks whether the database can be used, and makes the worker ready or not.
func (t *tenant) checkDatabase(ctx context.Context) error {
	err := t.db.CheckUsable(ctx, t.id)
	if errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	if err == nil {
		t.ready(nil)
		return nil
	}
	t.ready(fmt.Errorf("tenant %q: the database cannot be used: %w", t.id, store.Brief(err)))
	return err
}

// repeat runs f at once, then after every interval and whenever it is woken, until ctx ends. When f fails it waits
// longer each time, and tells the log once that it fails and once that it works again. f says with health.Step what it
// waits for.
func (t *tenant) repeat(ctx context.Context, name string, interval time.Duration, wake <-chan struct{}, f func(context.Context) error) {
	log := logr.FromContextOrDiscard(ctx).WithValues("loop", name)
	watched := t.watch.Begin(t.id, name, 0)
	defer watched.End()
	ctx = health.NewContext(ctx, watched)
	failures := 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-wake:
		}
		watched.Beat(0)
		err := f(ctx)
		wait := interval
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			t.o.Metrics.LoopFailures.WithLabelValues(t.id, name).Inc()
			wait = t.o.DatabaseBackoff.Delay(failures, uint64(len(name)))
			if failures == 1 && !errors.Is(err, errTold) {
				log.Error(store.Brief(err), "the loop fails and tries again", "databaseUnavailable", store.IsUnavailable(err))
			}
		case failures > 0:
			log.Info("the loop works again", "failures", failures)
			failures = 0
		}
		watched.Beat(wait)
		timer.Reset(wait)
	}
}

// sweep settles what workers that are gone left behind.
func (t *tenant) sweep(ctx context.Context) error {
	if err := errors.Join(t.db.EndDormantSends(ctx), t.db.SweepProcesses(ctx), t.db.SweepPace(ctx)); err != nil {
		return err
	}
	campaigns, err := t.db.SweepIntents(ctx, t.o.IntentAge)
	for _, name := range campaigns {
		t.notes.touch(name)
	}
	return err
}

// flushNotes tells the operator which campaigns' counts have changed.
func (t *tenant) flushNotes(ctx context.Context) error {
	for _, name := range t.notes.due(t.o.Now()) {
		if err := t.db.NoteStatusChange(ctx, store.CampaignKind, name); err != nil {
			t.notes.touch(name)
			return err
		}
	}
	return nil
}
