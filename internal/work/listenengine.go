package work

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/listen/judge"
	"github.com/tertulia-crm/tertulia/internal/sentiment/inference"
)

const (
	// judgedWithin is how long a server may take to judge a batch. Sources fall behind for as long.
	judgedWithin = 30 * time.Second
	// toldEvery is how often the log tells that it does not.
	toldEvery = time.Minute
)

// equip has posts judged by what was learned from the tenant's corrections, and by the server that it names, if it names one, with the token
// of this moment.
func (l *listenLoop) equip(ctx context.Context) error {
	if err := l.judge.Adopt(ctx, l.db, func(err error) {
		logr.FromContextOrDiscard(ctx).Info("What was learned from corrections cannot be read", "error", err.Error())
	}); err != nil {
		return err
	}
	named, err := l.db.LoadSentimentServer(ctx)
	if err != nil {
		return err
	}
	var server judge.Server
	if named != nil {
		l.secretsMu.Lock()
		token := l.secrets.SentimentToken
		l.secretsMu.Unlock()
		server = judge.Server{Protocol: named.Protocol, URL: named.URL, Model: named.Model, Token: token, Patience: judgedWithin}
	}
	watch := judge.Watch{
		Failed: seldom(logr.FromContextOrDiscard(ctx)),
		Asked: func(outcome inference.Outcome, fallback int) {
			l.o.Metrics.sentiment.Asked(l.id, string(outcome), fallback)
		},
		Resting: func(resting bool) { l.o.Metrics.sentiment.Resting(l.id, resting) },
	}
	if err := l.judge.Ask(server, l.outside.Client.Transport, watch); err != nil {
		logr.FromContextOrDiscard(ctx).Info("The server that judges posts is not asked", "error", err.Error())
	}
	return nil
}

// seldom logs why a server did not judge, and after that for a while nothing.
func seldom(log logr.Logger) func(error) {
	var told atomic.Int64 // when, in Unix time
	return func(err error) {
		now, before := time.Now().Unix(), told.Load()
		if now-before >= int64(toldEvery/time.Second) && told.CompareAndSwap(before, now) {
			log.Info("The server that judges posts did not: words and rules do", "error", err.Error())
		}
	}
}
