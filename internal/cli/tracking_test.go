package cli

import (
	"context"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/engagement"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// htmlOf is the HTML of the mail that somebody received.
func (p *plane) htmlOf(to string) string {
	p.t.Helper()
	for _, m := range p.relay.Messages() {
		if m.To != to {
			continue
		}
		message, err := mail.ReadMessage(strings.NewReader(string(m.Data)))
		p.must(nil, err)
		_, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
		p.must(nil, err)
		for parts := multipart.NewReader(message.Body, parameters["boundary"]); ; {
			part, err := parts.NextRawPart()
			p.must(nil, err)
			if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
				text, err := io.ReadAll(quotedprintable.NewReader(part))
				p.must(nil, err)
				return string(text)
			}
		}
	}
	p.t.Fatalf("no mail to %s", to)
	return ""
}

// follow asks for an address of a mail, as it stands there, at the server that runs here, and tells where that leads.
func (p *plane) follow(r *program, address, agent string) (status int, to string) {
	p.t.Helper()
	path, ours := strings.CutPrefix(address, "https://crm.velo.example")
	if !ours {
		p.t.Fatalf("%s does not lead to the tenant's server", address)
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+r.address+"/t/"+planeTenant+path, nil)
	p.must(nil, err)
	request.Header.Set("User-Agent", agent)
	response, err := http.DefaultTransport.RoundTrip(request)
	p.must(nil, err)
	p.must(nil, response.Body.Close())
	return response.StatusCode, response.Header.Get("Location")
}

var (
	addresses = regexp.MustCompile(`(?:href|src)="([^"]+)"`)
	tracked   = regexp.MustCompile(`^https://crm\.velo\.example/(?:c/[\w-]+|o/[\w-]+\.gif)$`)
)

// trackedIn lists the tracked addresses of a mail as they stand in it.
func trackedIn(html string) []string {
	var found []string
	for _, m := range addresses.FindAllStringSubmatch(html, -1) {
		if tracked.MatchString(m[1]) {
			found = append(found, m[1])
		}
	}
	return found
}

// TestAClickShowsInTheStatus: a worker sends mails, people and a scanner follow what stands in them, and the campaign's status says
// who did what. Who does not want to be tracked receives a mail without any of it.
func TestAClickShowsInTheStatus(t *testing.T) {
	p := newPlane(t, storetest.New(t), 3)
	ctx := context.Background()
	p.must(p.db.SaveTemplate(ctx, store.Template{Name: "spring", DefaultLocale: "es", Digest: "2", Content: []store.TemplateContent{{
		Locale: "es", Subject: "Hola",
		HTML: `<body><a href="https://velo.example/sale">Ofertas</a> <a href="https://velo.example/routes?of=spring">Rutas</a> <a href="{{ unsubscribe_url }}">Baja</a></body>`,
	}}}))
	p.exec("insert into consent (contact_id, purpose, granted, source) values (3, 'tracking', false, 'test')")
	p.mount.Set(p.secret.Files())
	p.must(p.db.UpsertSend(ctx, store.SendConfig{
		SendKey: "spring-2027", Campaign: "spring", Purpose: "newsletter", Channel: "newsletter", Segments: []string{"everybody"},
		MaxRecipients: 10, Variants: []store.SendVariant{{Name: "a", Template: "spring", Weight: 1}},
		StartsAt: time.Now().Add(-time.Minute), Deadline: time.Now().Add(time.Hour), Tracking: store.Tracking{Opens: true, Clicks: true},
	}))
	worker := p.start("worker")
	p.arrived(3)
	p.Eventually(func() (state string) {
		p.must(nil, p.db.Pool.QueryRow(ctx, "select state from send").Scan(&state))
		return state
	}).WithTimeout(planePatience).Should(gomega.Equal("Completed"))
	_ = worker.Process.Kill()
	// People read their mail some time after it came.
	p.exec("update ledger set intent_at = intent_at - interval '1 hour', settled_at = settled_at - interval '1 hour'")

	refused := p.htmlOf("c3@people.example")
	p.Expect(trackedIn(refused)).To(gomega.BeEmpty())
	p.Expect(refused).To(gomega.ContainSubstring(`href="https://velo.example/sale"`))

	server := p.start("server", "--drain-delay", "0s")
	server.becomes("/readyz", "200 ok")
	reader, scanner := trackedIn(p.htmlOf("c1@people.example")), trackedIn(p.htmlOf("c2@people.example"))
	if len(reader) != 4 || len(scanner) != 4 {
		t.Fatalf("a mail should bear two links, a picture and a trap: %v", reader)
	}
	const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	status, to := p.follow(server, reader[0], browser)
	if status != http.StatusFound || to != "https://velo.example/sale" {
		t.Errorf("the first link: status %d to %q", status, to)
	}
	for _, address := range reader {
		if strings.Contains(address, "/o/") {
			if status, _ := p.follow(server, address, browser); status != http.StatusOK {
				t.Errorf("the picture: status %d", status)
			}
		}
	}
	for _, address := range scanner {
		p.follow(server, address, browser)
	}
	p.Eventually(func() store.Engagement {
		status, err := p.db.SendStatus(ctx, "spring")
		p.must(nil, err)
		return status.Engaged
	}).WithTimeout(planePatience).Should(gomega.Equal(store.Engagement{
		engagement.Opened: 1, engagement.Clicked: 1, engagement.MachineOpened: 1, engagement.MachineClicked: 1,
	}))
	if changes, err := p.db.TakeStatusChanges(ctx); err != nil || !strings.Contains(strings.Join(names(changes), " "), "Campaign/spring") {
		t.Errorf("the operator does not hear of it: %v, %v", changes, err)
	}
}

func names(changes []store.StatusChange) []string {
	var list []string
	for _, c := range changes {
		list = append(list, c.Kind+"/"+c.Name)
	}
	return list
}
