package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/store"
)

func (s *shop) campaign() {
	s.t.Helper()
	_, err := s.db.UpsertSend(s.t.Context(), store.SendConfig{
		SendKey: "spring-2027", Campaign: "spring", Purpose: "newsletter", Channel: "news", Segments: []string{"all"}, MaxRecipients: 10,
		Variants: []store.SendVariant{{Name: "a", Template: "spring", Weight: 1}}, StartsAt: time.Now().Add(time.Hour), Deadline: time.Now().Add(2 * time.Hour),
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestCampaignVerbs(t *testing.T) {
	s := newShop(t)
	run := func(verb string, arguments ...string) (out, told string, err error) {
		return s.run(append([]string{"campaign", verb, "spring", "--kubeconfig", s.kubeconfig}, arguments...)...)
	}
	if _, _, err := run("explain"); err == nil || !strings.Contains(err.Error(), "kubectl describe campaign spring") {
		t.Errorf("a campaign that is not there: %v", err)
	}
	s.campaign()
	out, told, err := run("pause", "--by", "ana", "--reason", "the price is wrong", "--until", "1d12h")
	if err != nil || told != "Campaign \"spring\" is paused.\n" {
		t.Fatalf("pause: %q, %v", told, err)
	}
	for _, want := range []string{"Campaign spring: Scheduled\n", "It was paused by ana: the price is wrong Until ", "→ Let it go on: tertulia campaign resume spring", "No worker"} {
		if !strings.Contains(out, want) {
			t.Errorf("the text lacks %q:\n%s", want, out)
		}
	}
	out, _, err = run("explain", "--output", "json")
	var info campaignInfo
	if err == nil {
		err = json.Unmarshal([]byte(out), &info)
	}
	if err != nil || info.State != "Scheduled" || len(info.Findings) < 3 || info.Findings[0].Code != "NoWorker" {
		t.Errorf("explain: %s, %v", out, err)
	}
	if out, told, err = run("resume", "--by", "ana"); err != nil || told != "Campaign \"spring\" is not paused.\n" || strings.Contains(out, "paused by") {
		t.Errorf("resume: %q, %q, %v", out, told, err)
	}
	if _, _, err := run("abort", "--yes"); err == nil || !strings.Contains(err.Error(), "reason") {
		t.Errorf("abort without a reason: %v", err)
	}
	for _, verb := range []string{"abort", "resend-ambiguous"} {
		if _, _, err := run(verb, "--reason", "not this year"); err == nil || !strings.Contains(err.Error(), "--yes") {
			t.Errorf("%s without a terminal and without --yes: %v", verb, err)
		}
	}
	if _, told, err = run("resend-ambiguous", "--by", "ana", "--reason", "the relay lost them", "--yes"); err != nil || !strings.HasPrefix(told, "0 messages") {
		t.Errorf("resend-ambiguous: %q, %v", told, err)
	}
	if out, told, err = run("abort", "--by", "ana", "--reason", "not this year", "--yes"); err != nil || told != "Campaign \"spring\" is aborted.\n" || !strings.Contains(out, "by ana (not this year)") {
		t.Errorf("abort: %q, %q, %v", out, told, err)
	}
	if _, _, err := run("resume", "--by", "ana"); err == nil || !strings.Contains(err.Error(), "final") {
		t.Errorf("resume after an abort: %v", err)
	}
}

func TestUntil(t *testing.T) {
	now := time.Date(2027, 3, 21, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2h": now.Add(2 * time.Hour), "1d12h": now.Add(36 * time.Hour), "2027-03-22T09:00:00+01:00": time.Date(2027, 3, 22, 8, 0, 0, 0, time.UTC),
	} {
		if got, err := parseUntil(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if got, err := parseUntil("", now); got != nil || err != nil {
		t.Errorf("none: %v, %v", got, err)
	}
	for _, text := range []string{"tomorrow", "2027-03-20T09:00:00Z", "-2h", "0s"} {
		if _, err := parseUntil(text, now); err == nil || !strings.Contains(err.Error(), "--until") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
