package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/time/rate"

	"github.com/tertulia-crm/tertulia/internal/compose"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/dkim"
	"github.com/tertulia-crm/tertulia/internal/deliver/smtp"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Bounds of tests: an author tries a message on a few mailboxes, and nobody sends a campaign by them.
const (
	testsPerMinute = 20 // messages of a tenant, by each server; a request holds ten at most
)

func newTestLimit() *rate.Limiter {
	return rate.NewLimiter(rate.Every(time.Minute/testsPerMinute), testsPerMinute)
}

// testTimeouts are shorter than those of a worker: somebody waits for the answer.
var testTimeouts = smtp.Timeouts{
	Connect: 5 * time.Second, Greeting: 5 * time.Second, Command: 5 * time.Second, Data: 5 * time.Second, Block: 5 * time.Second, Dot: 10 * time.Second,
}

type testInput struct {
	Campaign string `path:"campaign" maxLength:"253" doc:"The name of the Campaign."`
	Body     struct {
		As previewChoice `json:"as,omitempty" doc:"Whose message it is. Default: the first variant's, with typical values."`
		To []string      `json:"to" minItems:"1" maxItems:"10" doc:"The addresses. Nobody else gets it, and they are kept nowhere."`
	}
}

type testOutput struct {
	Body struct {
		Subject string       `json:"subject" doc:"As it was sent."`
		Results []testResult `json:"results" doc:"One for each different address, in their order."`
	}
}

type testResult struct {
	Outcome string `json:"outcome" enum:"Accepted,Refused,Deferred,Unknown,Untouched" doc:"Accepted: the relay took it. Deferred: it wants to see it later, and nobody tries again."`
	Code    int    `json:"code,omitempty" doc:"The relay's reply code."`
	Reply   string `json:"reply,omitempty" doc:"The relay's words."`
}

func testCampaign(ctx context.Context, in *testInput) (*testOutput, error) {
	t := tenantOf(ctx)
	if in.Body.As.Contact != "" && !tokenHas(ctx, scopePreviewsRead) {
		return nil, huma.Error403Forbidden("as.contact: what a message says of a contact is shown to tokens with the scope " + scopePreviewsRead +
			" only. Leave it out, or use such a token.")
	}
	addresses, err := testAddresses(ctx, in.Body.To)
	if err != nil {
		return nil, err
	}
	job, recipient, err := gatherPreview(ctx, in.Campaign, in.Body.As)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if !t.tests.AllowN(now, len(addresses)) {
		return nil, huma.ErrorWithHeaders(
			huma.Error429TooManyRequests(fmt.Sprintf("At most %d tests are sent in a minute: wait, and try again.", testsPerMinute)),
			http.Header{"Retry-After": {"60"}})
	}
	out := &testOutput{}
	batch := make([]deliver.Message, len(addresses))
	for i, address := range addresses {
		recipient.Address = address
		written, err := compose.NewPreview(job, compose.PreviewRequest{
			Variant: in.Body.As.Variant, Locale: in.Body.As.Locale, Recipient: recipient, Test: true, Number: now.UnixNano() + int64(i), Now: now,
		})
		if err != nil {
			return nil, previewError(err)
		}
		out.Body.Subject = written.Subject
		batch[i] = deliver.Message{From: written.Sender, To: address, Data: written.Message}
	}
	out.Body.Results, err = handOver(ctx, t, job.Channel, batch)
	return out, err
}

// testAddresses checks addresses; of those that are given twice one is left. The error names a place in the list and no
// address. Who complained, or never again wants to be written to, gets no test either.
func testAddresses(ctx context.Context, list []string) ([]string, error) {
	normal, err := normalAddresses(list)
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, address := range normal {
		if !slices.Contains(addresses, address) {
			addresses = append(addresses, address)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	found, err := tenantOf(ctx).db.FindSuppressions(ctx, addresses)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	for _, f := range found {
		if f.Purpose == "" {
			return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("to[%d]: the address is suppressed (%s)", slices.Index(normal, f.Address), f.Reason))
		}
	}
	return addresses, nil
}

// handOver signs messages where the channel says so, and hands them over with the credentials of this moment.
func handOver(ctx context.Context, t *tenant, channel store.Channel, batch []deliver.Message) ([]testResult, error) {
	read, err := credentials.Read(t.dir)
	if err != nil {
		return nil, huma.Error503ServiceUnavailable("The channel's credentials cannot be read on this server at the moment: try again.")
	}
	secret := read.Channels[channel.Name]
	if channel.Email.DKIM == store.SelfDKIM {
		if err := sign(channel.Email, secret.DKIMPrivateKey, batch); err != nil {
			return nil, huma.Error422UnprocessableEntity("The message cannot be signed: " + err.Error())
		}
	}
	transport, err := testTransport(channel.Email, secret)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("The channel cannot be used: " + err.Error())
	}
	defer func() { _ = transport.Close() }()
	results, err := transport.Deliver(ctx, batch)
	var trouble *deliver.Trouble
	if errors.As(err, &trouble) && !slices.ContainsFunc(results, func(r deliver.Result) bool { return r.Outcome != deliver.Untouched }) {
		return nil, huma.Error422UnprocessableEntity("The relay took nothing: " + trouble.Error())
	}
	out := make([]testResult, len(batch))
	for i := range out {
		out[i].Outcome = deliver.Untouched.String()
		if i < len(results) {
			out[i] = testResult{Outcome: results[i].Outcome.String(), Code: results[i].Code, Reply: results[i].Reply}
		}
	}
	return out, nil
}

func sign(e store.EmailSettings, key string, batch []deliver.Message) error {
	signer, err := dkim.New(e.DKIMDomain, e.DKIMSelector, key)
	if err != nil {
		return err
	}
	for i := range batch {
		if batch[i].Data, err = signer.Sign(batch[i].Data); err != nil {
			return err
		}
	}
	return nil
}

func testTransport(e store.EmailSettings, secret credentials.Channel) (*smtp.Transport, error) {
	o := smtp.Options{Host: e.Host, Port: e.Port, TLS: smtp.TLSMode(e.TLS), Connections: 2, Timeouts: testTimeouts}
	if e.Authenticated {
		if secret.Username == "" {
			return nil, errors.New("its credentials have not arrived on this server: its Secret needs the keys username and password")
		}
		o.Username, o.Password = secret.Username, secret.Password
	}
	return smtp.New(o)
}
