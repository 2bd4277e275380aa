package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// spring declares a campaign, and returns the relay of its channel and the public id of a contact.
func (s *shop) spring() (relay *delivertest.Server, contact string) {
	s.t.Helper()
	ctx := context.Background()
	must := func(_ any, err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	relay = delivertest.NewServer(s.t, delivertest.Behaviour{})
	relay.Start()
	must(s.db.Pool.Exec(ctx, "update tenant set public_url = 'https://crm.velo.example'"))
	must(s.db.SaveTemplate(ctx, store.Template{Name: "spring", DefaultLocale: "es", Digest: "d", Content: []store.TemplateContent{
		{Locale: "es", Subject: "Hola {{ contact.first_name }}", HTML: `<p>Hola</p><a href="{{ unsubscribe_url }}">Baja</a>`},
	}}))
	_, _, err := s.db.SaveChannel(ctx, store.Channel{Name: "newsletter", Type: "Email", Email: store.EmailSettings{
		From: "Velo <hola@velo.example>", Host: relay.Host(), Port: relay.Port(), TLS: "None", Connections: 2, DKIM: "None",
	}})
	must(nil, err)
	must(s.db.UpsertSend(ctx, store.SendConfig{
		SendKey: "spring-2027", Campaign: "spring", Purpose: "newsletter", Channel: "newsletter", Segments: []string{"everybody"}, MaxRecipients: 10,
		Variants: []store.SendVariant{{Name: "a", Template: "spring", Weight: 1}}, StartsAt: time.Now().Add(time.Hour), Deadline: time.Now().Add(2 * time.Hour),
	}))
	must(nil, s.db.Pool.QueryRow(ctx, "insert into contact (attr_first_name) values ('Ana') returning public_id::text").Scan(&contact))
	return relay, contact
}

func TestRender(t *testing.T) {
	s := newShop(t)
	_, contact := s.spring()
	file := filepath.Join(s.dir, "spring.eml")
	out, _, err := s.run("render", "spring", "--as", contact, "--file", file, "--kubeconfig", s.kubeconfig)
	if err != nil || !strings.Contains(out, "variant a, locale es") || !strings.Contains(out, "Hola Ana") {
		t.Fatalf("%v: %s", err, out)
	}
	message, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(message), "Subject: Hola Ana\r\n") {
		t.Errorf("%v:\n%s", err, message)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("what is known of a person is nobody else's to read: %v, %v", info.Mode(), err)
	}
	out, _, err = s.run("render", "spring", "--sample", "--output", "json", "--kubeconfig", s.kubeconfig)
	var shown renderedMessage
	if err != nil || json.Unmarshal([]byte(out), &shown) != nil || shown.Subject != "Hola Alejandra" || len(shown.Message) == 0 {
		t.Errorf("%v: %s", err, out)
	}
	out, _, err = s.run("render", "spring", "--sample", "--file", "-", "--kubeconfig", s.kubeconfig)
	if err != nil || !strings.HasPrefix(out, "From: ") {
		t.Errorf("%v: %s", err, out)
	}
	for name, args := range map[string][]string{
		"say as whom": {"spring"}, "no campaign": {"autumn", "--sample"}, "no contact": {"spring", "--as", "00000000-0000-4000-8000-000000000000"},
	} {
		if out, _, err := s.run(append(append([]string{"render"}, args...), "--kubeconfig", s.kubeconfig, "--file", "-")...); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func TestSendTest(t *testing.T) {
	s := newShop(t)
	relay, _ := s.spring()
	out, _, err := s.run("send-test", "spring", "--to", "me@velo.example,you@velo.example", "--kubeconfig", s.kubeconfig)
	if err != nil || !strings.Contains(out, "[Test] Hola Alejandra") || !strings.Contains(out, "The relay took 2 of 2.") || strings.Contains(out, "@velo.example") {
		t.Errorf("%v: %s", err, out)
	}
	got := relay.Recipients()
	if diff := cmp.Diff(2, len(got)); diff != "" {
		t.Errorf("who got it: %v", got)
	}
	if out, _, err := s.run("send-test", "spring", "--kubeconfig", s.kubeconfig); err == nil {
		t.Errorf("to nobody: %s", out)
	}
}

func TestBrowserCommand(t *testing.T) {
	for system, want := range map[string]string{"linux": "xdg-open", "darwin": "open", "windows": "rundll32"} {
		if name, arguments := browserCommand(system, "x.html"); name != want || arguments[len(arguments)-1] != "x.html" {
			t.Errorf("%s: %s %v", system, name, arguments)
		}
	}
}
