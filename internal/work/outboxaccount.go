package work

import (
	"context"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// accountAgain is how often a network is asked as whom a channel posts: what it takes of a post may change, and a token may be revoked that
	// nobody uses.
	accountAgain = time.Hour
	// accountLimit bounds such a question.
	accountLimit = 2 * time.Minute
)

// account is the publisher of a channel of a social network.
type account struct {
	post.Publisher
	of login
}

// login is what a publisher is made from.
type login struct {
	settings store.Channel
	secret   credentials.Channel
}

func (a *account) close() {
	if a.Publisher != nil {
		_ = a.Close()
		a.Publisher = nil
	}
}

// asked is with what the network was last asked as whom the channel posts, and when that is to be asked again.
type asked struct {
	mu    sync.Mutex
	of    login
	again time.Time
}

// open makes the publisher, another one where settings or credentials are others than before.
func (d *desk) open(settings store.Channel) (post.Publisher, error) {
	of := login{settings, d.channelCredentials(d.name)}
	if d.account.Publisher != nil && d.account.of == of {
		return d.account.Publisher, nil
	}
	d.account.close()
	publisher, err := d.o.Publisher(of.settings, of.secret)
	if err != nil {
		return nil, err
	}
	d.account = account{publisher, of}
	return publisher, nil
}

// mustLogIn tells whether the network is to be asked as whom the channel posts. New settings and new credentials end the trouble that the old ones
// had.
func (d *desk) mustLogIn(settings store.Channel) bool {
	if !settings.IsSocial() {
		return false
	}
	of := login{settings, d.channelCredentials(d.name)}
	d.asked.mu.Lock()
	defer d.asked.mu.Unlock()
	if d.asked.of != of {
		d.asked.of, d.asked.again = of, time.Time{}
		d.channel.circuit.succeeded()
	}
	return !d.o.Now().Before(d.asked.again) && d.channel.circuit.closed()
}

// logIn asks the network as whom the channel posts, and writes that down for the channel's status.
func (d *desk) logIn(ctx context.Context, settings store.Channel) error {
	if d.channel.circuit.admit(1) == 0 {
		return nil
	}
	known, err := d.askAccount(ctx, settings)
	if ctx.Err() != nil {
		d.channel.circuit.untold()
		return nil
	}
	if err != nil {
		d.channel.report(ctx, nil, err)
		return nil
	}
	d.channel.report(ctx, []deliver.Result{{Outcome: deliver.Accepted}}, nil)
	ctx, cancel := health.Step(ctx, d.o.StatementLimit)
	defer cancel()
	if err := d.db.SetChannelAccount(ctx, settings, store.ChannelAccount{Handle: known.Handle, ID: known.ID, Takes: known.Takes}); err != nil {
		return err
	}
	d.asked.mu.Lock()
	defer d.asked.mu.Unlock()
	d.asked.again = d.o.Now().Add(accountAgain)
	return nil
}

func (d *desk) askAccount(ctx context.Context, settings store.Channel) (post.Account, error) {
	publisher, err := d.open(settings)
	if err != nil {
		return post.Account{}, err
	}
	ctx, cancel := health.Step(ctx, accountLimit)
	defer cancel()
	return publisher.Account(ctx)
}
