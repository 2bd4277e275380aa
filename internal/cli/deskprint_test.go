package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// monday is half past nine where an agent sits.
var monday = time.Date(2026, 11, 23, 9, 30, 0, 0, time.FixedZone("CET", 3600))

func printed(show func(p *deskPrinter)) string {
	var out strings.Builder
	show(&deskPrinter{out: &out, now: func() time.Time { return monday }})
	return out.String()
}

func at(minutes int) *time.Time {
	t := monday.Add(time.Duration(minutes) * time.Minute).UTC()
	return &t
}

func aTalk() conversationInfo {
	return conversationInfo{
		Number: 1042, State: "Open", Version: 4, Network: "mastodon:social.example", Source: "mastodon", ReplyChannel: "velo-mastodon",
		With: &mentionAuthor{Handle: "ana@social.example"}, WaitingSince: at(-160), BeganAt: *at(-200),
		Last: &talkMessage{Kind: "In", Text: "Me habéis cobrado\ndos veces"},
		Tickets: []ticketInfo{
			{Number: 1044, Queue: "sales", Status: "New", Priority: "Normal"},
			{Number: 1043, Queue: "complaints", Status: "Open", Priority: "Urgent", Assignee: "eva", Targets: []ticketTarget{
				{Target: "FirstResponse", Due: *at(14), WorkSeconds: 14 * 60}, {Target: "Resolution", Due: *at(24 * 60), WorkSeconds: 26_400},
			}},
		},
	}
}

func TestInboxIsShown(t *testing.T) {
	late, wide, away := aTalk(), aTalk(), aTalk()
	late.Number, late.Tickets = 1040, []ticketInfo{{Number: 1041, Queue: "complaints", Priority: "High", Targets: []ticketTarget{
		{Target: "NextResponse", Due: *at(-65), WorkSeconds: -65 * 60, Overdue: true},
	}}}
	late.Claim = &talkClaim{Agent: "leo", Until: *at(1)}
	wide.Number, wide.Tickets, wide.With, wide.WaitingSince, wide.State = 1050, nil, &mentionAuthor{Name: "山田 太郎 \x1b[31m"}, nil, "Waiting"
	wide.Subject, wide.Last = "Pedido 4711", &talkMessage{Kind: "Out", State: "Failed", Text: "Hola"}
	away.Number, away.SnoozedUntil, away.Last = 1060, at(24*60), &talkMessage{Kind: "In", Forgotten: true}
	got := printed(func(p *deskPrinter) { p.inbox([]conversationInfo{late, aTalk(), wide, away}) })
	want := `3 of these 4 wait for us, 1 late, 2 nobody's; next is 1042, due in 14 min (09:44)

NUMBER   WAITS             DUE                 PRIORITY   WHOSE         QUEUE        WITH                  SAYS
1040     2 h 40 min        1 h 5 min late      High       leo answers   complaints   @ana@social.example   Me habéis cobrado dos veces
1042     2 h 40 min        in 14 min (09:44)   Urgent     eva           complaints   @ana@social.example   Me habéis cobrado dos veces
1050     waiting           -                   -          -             -            山田 太郎 [31m        Pedido 4711 — (our answer: Failed) Hola
1060     until Tue 09:30   in 14 min (09:44)   Urgent     eva           complaints   @ana@social.example   (deleted by its author)
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := printed(func(p *deskPrinter) { p.inbox(nil) }); got != "nobody waits: no such conversations\n" {
		t.Errorf("of none: %q", got)
	}
}

func TestConversationIsShown(t *testing.T) {
	c := aTalk()
	whole := false
	c.Whole, c.Follows = &whole, 1001
	c.Thread = []talkMessage{
		{ID: "m1", Kind: "In", At: *at(-4000), Author: &mentionAuthor{Handle: "ana@social.example"}, Text: "Me habéis cobrado\x1b]0;x\x07\r\n\n\n\ndos veces"},
		{ID: "m2", Kind: "Out", At: *at(-30), Agent: "eva", State: "Ambiguous", Text: "Lo miramos", Reason: "the connection broke"},
		{ID: "m3", Kind: "Out", At: *at(-29), Rule: "thanks", State: "Queued", Template: "thanks"},
		{ID: "m4", Kind: "Note", At: *at(-20), Agent: "leo", Text: "es la segunda vez"},
		{ID: "m5", Kind: "In", At: *at(-10), Forgotten: true},
	}
	want := `Conversation 1042 with @ana@social.example on mastodon:social.example: waits for us since 06:50, 2 h 40 min
  follows   1001, which had ended
  ticket    1044 in sales: New, Normal, nobody's
  ticket    1043 in complaints: Open, Urgent, eva; first answer in 14 min (09:44); solution in 7 h 20 min (Tue 09:30)

(what is older is left out)

Fri 14:50  @ana@social.example
  Me habéis cobrado]0;x

  dos veces

09:00  we, by eva (ambiguous)
  Lo miramos
  the connection broke
  Nobody knows whether it arrived: look there, and say so with tertulia inbox settle … m2

09:01  we, by rule thanks (leaves soon)
  (template thanks)

09:10  note by leo
  es la segunda vez

09:20  somebody
  (deleted by its author)

Version 4. To answer: tertulia reply 1042, or with a text: tertulia reply 1042 --seen 4 --text '…'
`
	if diff := cmp.Diff(want, printed(func(p *deskPrinter) { p.conversation(c) })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTicketsAreShown(t *testing.T) {
	one := aTalk().Tickets[1]
	one.Conversation, one.OpenedAt, one.Replies, one.Subject, one.Breached = 1042, *at(-3000), 2, "charged twice", true
	one.Reopened, one.Took = 1, &ticketTook{FirstAnswer: &tookInfo{1260, 90_000}, SecondAnswer: &tookInfo{20, 20}}
	one.History = []ticketHappened{{At: *at(-3000), Kind: "Opened"}, {At: *at(-10), Kind: "Assigned", Agent: "leo", Words: "eva"}}
	want := `NUMBER   DUE                 STATUS   PRIORITY   WHOSE   QUEUE        AGE       ANSWERS   CONVERSATION   SUBJECT
1043     in 14 min (09:44)   Open     Urgent     eva     complaints   2 d 2 h   2         1042           charged twice
`
	if diff := cmp.Diff(want, printed(func(p *deskPrinter) { p.tickets([]ticketInfo{one}) })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want = `Ticket 1043 in complaints: Open, Urgent, eva; first answer in 14 min (09:44); solution in 7 h 20 min (Tue 09:30); a target was missed
  subject         charged twice
  conversation    1042 (tertulia inbox show 1042)
  waits since     Sat 07:30
  first answer    after 21 min of work, 1 d 1 h by the calendar
  second answer   after less than a minute
  answers         2
  reopened        once
  Sat 07:30       Opened
  09:20           Assigned eva, by leo
`
	if diff := cmp.Diff(want, printed(func(p *deskPrinter) { p.ticket(one) })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSpansAreTold(t *testing.T) {
	for length, want := range map[time.Duration]string{
		0: "now", 59 * time.Second: "now", time.Minute: "1 min", 60 * time.Minute: "1 h", 61 * time.Minute: "1 h 1 min", -90 * time.Minute: "1 h 30 min",
		24 * time.Hour: "1 d", 49*time.Hour + 59*time.Minute: "2 d 1 h",
	} {
		if got := span(length); got != want {
			t.Errorf("%s: %q, want %q", length, got, want)
		}
	}
}

func TestFutureTime(t *testing.T) {
	for text, want := range map[string]string{
		"2h": "2026-11-23T11:30:00+01:00", "3d": "2026-11-26T09:30:00+01:00", "2026-11-24": "2026-11-24T00:00:00+01:00",
		"2026-11-24 08:15": "2026-11-24T08:15:00+01:00", "2026-11-24T08:15:00Z": "2026-11-24T08:15:00Z",
		"-2h": "", "0d": "", "-1d": "", "999999d": "", "2026-11-22": "", "tomorrow": "", "": "", "d": "",
	} {
		got, err := futureTime(text, monday)
		if want == "" && err == nil || want != "" && (err != nil || got.Format(time.RFC3339) != want) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}
