// Package work holds the loops of `tertulia worker`: for each tenant it keeps segments current, freezes the sends that
// are due, hands their messages over and sweeps up after workers that are gone. Any number of workers run side by side;
// what one may do is decided by PostgreSQL alone, and what each does is told by rows, so that a worker needs no
// connection to Kubernetes.
package work

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/smtp"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/networks"
	"github.com/tertulia-crm/tertulia/internal/pace"
	"github.com/tertulia-crm/tertulia/internal/segment"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Options of a Worker. The zero value of every field but the tenants works.
type Options struct {
	// TenantsDir is a directory whose sub-directories are tenants; they may come and go. "" for none.
	TenantsDir string
	// TenantDirs are directories of one tenant each.
	TenantDirs []string
	// ID names this worker in leases. It is made unique by a suffix. Default: the host's name.
	ID string
	// Version is that of the program, for who asks which one works.
	Version string

	// Now tells the time by which schedules are judged. Default: time.Now.
	Now func() time.Time
	// WebhookNetworks are networks that are not public and that webhooks may be posted to. Default: none.
	WebhookNetworks []netip.Prefix
	// ListenNetworks are networks that are not public and that sources, and channels of social networks, may lead to. Default: none.
	ListenNetworks []netip.Prefix
	// Connector makes the connector of a source. Default: by the source's type.
	Connector func(networkType string, o listen.Options) (listen.Connector, error)
	// Transport makes the transport of a channel. Default: by the channel's type.
	Transport func(c store.Channel, secret credentials.Channel, certificate func(notAfter time.Time)) (deliver.Transport, error)
	// Publisher makes the publisher of a channel of a social network. Default: by the channel's type.
	Publisher func(c store.Channel, secret credentials.Channel) (post.Publisher, error)
	// NoLookups keeps the worker from asking name servers for the mail exchangers of recipients' domains: each domain then is a
	// receiver of its own, but for those that other workers have looked up.
	NoLookups bool
	// Resolver asks name servers. Default: that of the machine, which is not asked for reserved names such as example.com.
	Resolver *net.Resolver
	// MailboxTLS says what certificates of mail servers are trusted. Default: the system's.
	MailboxTLS *tls.Config
	// Metrics are counted into. Default: metrics that nobody collects.
	Metrics *Metrics

	// StatementLimit is how long a statement may take before its connection counts as lost, and EvaluationLimit how long one
	// may that concerns everybody: a segment's evaluation, an audience's freeze, an audit. Default: 30 s, 30 m.
	StatementLimit, EvaluationLimit time.Duration
	// HandOver is how long a batch is handed over; what a slow relay has not been offered by then is pending again.
	// Default: 10 m.
	HandOver time.Duration
	// PollLimit is how long a network may be polled at a time. A connector bounds each of its requests by itself. Default: 5 m.
	PollLimit time.Duration
	// Slack is how late a loop may be before the worker counts as stuck. Default: 30 s.
	Slack time.Duration

	TenantPoll      time.Duration // how often tenant directories are read. Default: 1 s
	SendPoll        time.Duration // how often a tenant without work looks for some. Default: 500 ms
	CampaignPoll    time.Duration // how often sends are judged. Default: 1 s
	SegmentPoll     time.Duration // how often changes of contacts are looked for; a quarter as often while there are none. Default: 250 ms
	RulePoll        time.Duration // how often what rules listen to is looked for, and whose time has come. Default: 250 ms
	SegmentInterval time.Duration // between two builds of a segment of which nobody knows what it depends on. Default: 5 m
	VerifyPoll      time.Duration // how often some contacts are compared with a segment's definition. Default: 10 s
	VerifyInterval  time.Duration // between two comparisons of everybody with a segment's definition. Default: 24 h
	SuggestPoll     time.Duration // how often contacts are looked for that are to be compared with others. Default: 1 s
	SentimentPoll   time.Duration // how often corrections are looked for that are to be learned from. Default: 5 m
	MonitorPoll     time.Duration // how often monitors are looked for that a step can be evaluated of. Default: 15 s
	ReturnsPoll     time.Duration // how often the mailboxes of returns are read. Default: 1 m
	SweepPoll       time.Duration // how often the sweep looks for lost intents. Default: 15 s
	MeasurePoll     time.Duration // how often a tenant's work is measured. Default: 30 s
	AuditPoll       time.Duration // how often the ledger of open and recent sends is compared with its counts. Default: 10 m
	StatusEvery     time.Duration // at most how often a sending campaign's status is written. Default: 5 s
	DatabasePoll    time.Duration // how often the database is asked whether it can be used. Default: 5 s
	ListenPoll      time.Duration // how often sources are looked for that are due. Default: 1 s
	PacePoll        time.Duration // how often the pace of a channel in use is read. Default: 1 s
	LookupPoll      time.Duration // how often it looks for domains whose mail exchangers are not known. Default: 15 s

	// Lease is how long a chunk belongs to a worker that does not renew its lease. Default: 30 s.
	Lease time.Duration
	// IntentAge is when an intent of a worker that is gone counts as ambiguous. It must exceed what a hand-over can
	// take: a worker that is only cut off may still bring the answer to a final dot. Default: smtp.FinalDot and a minute.
	IntentAge time.Duration
	// Grace is how long a worker that is told to stop finishes what it has begun. Default: 25 s, within the thirty that
	// Kubernetes gives a pod.
	Grace time.Duration

	Deferral        campaign.Backoff // of a message that a receiver defers. Default: campaign.DeferralBackoff
	ChannelBackoff  campaign.Backoff // of a channel that takes nothing. Default: campaign.ChannelBackoff
	PauseBackoff    campaign.Backoff // of a receiver that defers what it is offered. Default: pace.PauseBackoff
	SourceBackoff   campaign.Backoff // of a source that cannot be read. Default: 5 s to 10 m
	DatabaseBackoff campaign.Backoff // of a database that cannot be used. Default: 250 ms to 5 s
}

func (o Options) withDefaults() (Options, error) {
	if o.TenantsDir == "" && len(o.TenantDirs) == 0 {
		return o, fmt.Errorf("no tenants: name a tenant directory, or a directory of tenants")
	}
	if o.ID == "" {
		host, err := os.Hostname()
		if err != nil {
			return o, fmt.Errorf("find a name for the worker: %w", err)
		}
		o.ID = host
	}
	o.ID = health.ProcessID(o.ID)
	if o.Now == nil {
		o.Now = time.Now
	}
	transports := Transports{WebhookNetworks: o.WebhookNetworks, SocialNetworks: o.ListenNetworks, Version: o.Version}
	if o.Transport == nil {
		o.Transport = transports.New
	}
	if o.Publisher == nil {
		o.Publisher = transports.NewPublisher
	}
	if o.Connector == nil {
		o.Connector = networks.Open
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{
		{&o.TenantPoll, time.Second},
		{&o.SendPoll, 500 * time.Millisecond},
		{&o.CampaignPoll, time.Second},
		{&o.SegmentPoll, 250 * time.Millisecond},
		{&o.RulePoll, 250 * time.Millisecond},
		{&o.SegmentInterval, segment.DefaultInterval},
		{&o.VerifyPoll, 10 * time.Second},
		{&o.VerifyInterval, 24 * time.Hour},
		{&o.SuggestPoll, time.Second},
		{&o.SentimentPoll, 5 * time.Minute},
		{&o.MonitorPoll, 15 * time.Second},
		{&o.ReturnsPoll, time.Minute},
		{&o.SweepPoll, 15 * time.Second},
		{&o.MeasurePoll, 30 * time.Second},
		{&o.AuditPoll, 10 * time.Minute},
		{&o.StatusEvery, 5 * time.Second},
		{&o.DatabasePoll, 5 * time.Second},
		{&o.ListenPoll, time.Second},
		{&o.PacePoll, time.Second},
		{&o.LookupPoll, 15 * time.Second},
		{&o.StatementLimit, 30 * time.Second},
		{&o.EvaluationLimit, 30 * time.Minute},
		{&o.HandOver, 10 * time.Minute},
		{&o.PollLimit, 5 * time.Minute},
		{&o.Lease, 30 * time.Second},
		{&o.IntentAge, smtp.FinalDot + time.Minute},
		{&o.Grace, 25 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	for _, b := range []struct{ value, usual *campaign.Backoff }{
		{&o.Deferral, &campaign.DeferralBackoff},
		{&o.ChannelBackoff, &campaign.ChannelBackoff},
		{&o.PauseBackoff, &pace.PauseBackoff},
		{&o.SourceBackoff, &campaign.Backoff{First: 5 * time.Second, Max: 10 * time.Minute}},
		{&o.DatabaseBackoff, &campaign.Backoff{First: 250 * time.Millisecond, Max: 5 * time.Second}},
	} {
		if *b.value == (campaign.Backoff{}) {
			*b.value = *b.usual
		}
	}
	return o, nil
}
