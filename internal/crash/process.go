package crash

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/cli"
	"github.com/tertulia-crm/tertulia/internal/crash/sink"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/mastodon"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/smtp"
	"github.com/tertulia-crm/tertulia/internal/deliver/webhook"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
	"github.com/tertulia-crm/tertulia/internal/local/ports"
	"github.com/tertulia-crm/tertulia/internal/local/supervise"
	"github.com/tertulia-crm/tertulia/internal/signature"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/work"
)

// roleVariable tells a process of the program that runs the suite what it is.
const (
	roleVariable = "TERTULIA_CRASH_ROLE"
	roleProgram  = "tertulia"
	roleSink     = "sink"
)

// Main is what a program that runs the suite begins with: it starts itself as the processes that are disturbed, so that nothing
// has to be built or found. run is what it is otherwise.
func Main(run func() int) int {
	switch os.Getenv(roleVariable) {
	case roleProgram:
		return cli.MainWith(cli.Tuning{Worker: hasten})
	case roleSink:
		return sink.Main(os.Args[1:])
	}
	return run()
}

// A worker's times, which stand to each other as the usual ones do.
const (
	lease     = 2 * time.Second
	intentAge = 4 * time.Second
	dotLimit  = 3 * time.Second
	quick     = 50 * time.Millisecond
)

// answerLimit is how long a worker waits for an answer where nobody falls silent: a machine that stands still for some seconds leaves nothing unanswered.
const answerLimit = 20 * time.Second

// settled is for how long a network may hide a post that it has taken.
const settled = 1500 * time.Millisecond

// silenceVariable says to a worker that somebody falls silent: it waits for an answer no longer than dotLimit.
const silenceVariable = "TERTULIA_CRASH_SILENCE"

func limit() time.Duration {
	if os.Getenv(silenceVariable) != "" {
		return dotLimit
	}
	return answerLimit
}

func hasten(o *work.Options) {
	o.TenantPoll, o.SendPoll, o.CampaignPoll, o.SegmentPoll, o.StatusEvery = quick, quick, quick, quick, 4*quick
	o.RulePoll = quick
	o.SweepPoll, o.DatabasePoll, o.StatementLimit, o.HandOver = 4*quick, 10*quick, 3*time.Second, 3*time.Second
	o.Lease, o.IntentAge = lease, intentAge
	o.Deferral = campaign.Backoff{First: 2 * quick, Max: 8 * quick}
	o.ListenPoll, o.SourceBackoff = quick, campaign.Backoff{First: quick, Max: 8 * quick}
	o.PacePoll, o.PauseBackoff = 4*quick, campaign.Backoff{First: 2 * quick, Max: 4 * quick}
	o.ChannelBackoff = campaign.Backoff{First: quick, Max: 8 * quick}
	o.DatabaseBackoff = campaign.Backoff{First: quick, Max: 4 * quick}
	o.Transport, o.Publisher = hastyTransport, hastyPublisher
	if path := os.Getenv(clockVariable); path != "" {
		o.Now = func() time.Time { return readClock(path) }
	}
}

// thisMachine is where the endpoint of a scenario is.
var thisMachine = netip.MustParsePrefix("127.0.0.0/8")

// hastyTransport is that of workers, but for the time limits.
func hastyTransport(c store.Channel, secret credentials.Channel, _ func(time.Time)) (deliver.Transport, error) {
	if c.Type == store.WebhookType {
		keys, err := signature.ParseKeys(secret.SigningKey)
		if err != nil {
			return nil, err
		}
		return webhook.New(webhook.Options{
			URL: c.Webhook.URL, Keys: keys, Allowed: []netip.Prefix{thisMachine}, Connections: c.Webhook.Connections, Timeout: limit(), Connect: limit(),
		})
	}
	l := limit()
	return smtp.New(smtp.Options{
		Host: c.Email.Host, Port: c.Email.Port, TLS: smtp.TLSMode(c.Email.TLS), Connections: c.Email.Connections,
		Timeouts: smtp.Timeouts{Connect: l, Greeting: l, Command: l, Data: l, Block: l, Dot: l},
	})
}

// hastyPublisher is that of workers, but for the time limits.
func hastyPublisher(c store.Channel, secret credentials.Channel) (post.Publisher, error) {
	return mastodon.New(mastodon.Options{
		Server: wire.Options{Base: c.Social.Server, Allowed: []netip.Prefix{thisMachine}, Timeout: limit()}, Token: secret.AccessToken, Settled: settled,
	})
}

// process is one that the suite has started.
type process struct {
	*supervise.Process
	name string
	log  string
}

// start starts this program in another role, until the world is closed.
func (w *world) start(ctx context.Context, name, role string, env []string, args ...string) (*process, error) {
	p, err := startProcess(ctx, w.dir, name, role, env, args...)
	if err == nil {
		w.processes = append(w.processes, p)
	}
	return p, err
}

func startProcess(ctx context.Context, dir, name, role string, env []string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, to start it as %s: %w", name, err)
	}
	log := filepath.Join(dir, "logs", name+".log")
	p, err := supervise.Start(ctx, supervise.Command{
		Name: name, Path: self, Args: args, Env: append([]string{roleVariable + "=" + role}, env...), Log: log, Grace: grace + 10*time.Second,
	})
	if err != nil {
		return nil, err
	}
	return &process{Process: p, name: name, log: log}, nil
}

// grace is what a worker gets to end what it has begun, as in a cluster.
const grace = 25 * time.Second

// signal sends a signal to the process alone.
func (p *process) signal(s syscall.Signal) error {
	if err := syscall.Kill(p.PID(), s); err != nil {
		return fmt.Errorf("send %s to %s: %w", s, p.name, err)
	}
	return nil
}

// terminate asks a process to end, and wants it to end well.
func (p *process) terminate(ctx context.Context) error {
	if err := p.Stop(ctx); err != nil {
		return err
	}
	return p.Err()
}

// addresses finds free addresses of this machine.
func addresses(n int) ([]string, error) {
	free, err := ports.Free(n)
	if err != nil {
		return nil, err
	}
	found := make([]string, n)
	for i, port := range free {
		found[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	return found, nil
}

// startWorker starts a worker for the tenants of a directory and waits until it lives.
func (w *world) startWorker(ctx context.Context, tenants string) (*process, error) {
	free, err := addresses(1)
	if err != nil {
		return nil, err
	}
	w.started++
	name := fmt.Sprintf("worker-%d", w.started)
	var env []string
	if w.clock != "" {
		env = append(env, clockVariable+"="+w.clock)
	}
	if w.scenario.Silent {
		env = append(env, silenceVariable+"=1")
	}
	p, err := w.start(ctx, name, roleProgram, env, "worker", "--tenant-dir", tenants, "--id", name, "--health-listen", free[0],
		"--graceful-period", grace.String(), "--listen-allow-network", thisMachine.String())
	if err != nil {
		return nil, err
	}
	w.workers = append(w.workers, p)
	return p, p.AwaitReady(ctx, startTimeout, supervise.Healthy("http://"+free[0]+"/livez"))
}

// startTimeout bounds the start of a process, on a machine that has much else to do.
const startTimeout = time.Minute

// startWorkers starts n workers. The mail server is as much slower as they are more, so that the send has as long a middle.
func (w *world) startWorkers(ctx context.Context, n int) ([]*process, error) {
	if w.senders = n; n > 1 {
		script := w.relay.options.Script
		script.Pace = w.paced().Pace
		if err := w.relay.follow(ctx, script); err != nil {
			return nil, err
		}
	}
	var workers []*process
	for range n {
		p, err := w.startWorker(ctx, w.tenant)
		if err != nil {
			return nil, err
		}
		workers = append(workers, p)
	}
	return workers, nil
}

// kill ends a process as kill -9 does.
func (w *world) kill(p *process) error {
	if err := p.Kill(); err != nil {
		return err
	}
	w.forget(p)
	return nil
}

// forget takes a worker that has ended from those that are to end well.
func (w *world) forget(p *process) {
	for i := range w.workers {
		if w.workers[i] == p {
			w.workers = append(w.workers[:i], w.workers[i+1:]...)
			return
		}
	}
}

// stopWorkers ends the workers that are left, which must end well.
func (w *world) stopWorkers(ctx context.Context) error {
	for len(w.workers) > 0 {
		p := w.workers[0]
		w.forget(p)
		if err := p.terminate(ctx); err != nil {
			return err
		}
	}
	return nil
}
