package service_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/service"
)

func hours(n int) time.Duration { return time.Duration(n) * time.Hour }

func TestAnswer(t *testing.T) {
	minute := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	desk := service.Desk{Version: 3, In: 3, Out: 2, LastKey: "k0"}
	claimed := desk
	claimed.Claim = service.Claim{Agent: "ana", Until: minute(2)}
	answered := service.Desk{Version: 4, In: 3, Out: 4, LastKey: "k1"}
	cases := map[string]struct {
		why     string
		desk    service.Desk
		attempt service.Attempt
		at      time.Time
		want    service.Desk
		again   bool
		refused service.Reason
	}{
		"Free":      {"nobody is at it", desk, service.Attempt{Agent: "ben", Seen: 3, Key: "k1"}, noon, answered, false, ""},
		"Own":       {"the claim is one's own, and ends", claimed, service.Attempt{Agent: "ana", Seen: 3, Key: "k1"}, noon, answered, false, ""},
		"Other":     {"another agent is at it", claimed, service.Attempt{Agent: "ben", Seen: 3, Key: "k1"}, noon, claimed, false, service.ReasonClaimed},
		"Expired":   {"the claim is over", claimed, service.Attempt{Agent: "ben", Seen: 3, Key: "k1"}, minute(2), answered, false, ""},
		"Written":   {"the customer has written since", desk, service.Attempt{Agent: "ben", Seen: 2}, noon, desk, false, service.ReasonWritten},
		"Answered":  {"another answer has left, which matters more", desk, service.Attempt{Agent: "ben", Seen: 1}, noon, desk, false, service.ReasonAnswered},
		"OwnLate":   {"a claim does not make one read", claimed, service.Attempt{Agent: "ana", Seen: 2}, noon, claimed, false, service.ReasonWritten},
		"Future":    {"there is no such version", desk, service.Attempt{Agent: "ben", Seen: 4}, noon, desk, false, service.ReasonUnknown},
		"Negative":  {"nor such a one", desk, service.Attempt{Agent: "ben", Seen: -1}, noon, desk, false, service.ReasonUnknown},
		"Again":     {"a click that came twice", desk, service.Attempt{Agent: "ben", Seen: 1, Key: "k0"}, noon, desk, true, ""},
		"NotNamed":  {"attempts without a name are not the same", service.Desk{Version: 1, Out: 1}, service.Attempt{Agent: "ben", Seen: 0}, noon, service.Desk{Version: 1, Out: 1}, false, service.ReasonAnswered},
		"Beginning": {"we write first", service.Desk{}, service.Attempt{Agent: "ben", Key: "k1"}, noon, service.Desk{Version: 1, Out: 1, LastKey: "k1"}, false, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, again, err := tc.desk.Answer(tc.attempt, tc.at)
			if tc.refused != "" {
				refusal := wantRefusal(t, err, tc.refused)
				if strings.Contains(err.Error(), "ana") || refusal.Reason == service.ReasonClaimed && refusal.Holder != "ana" {
					t.Errorf("who holds it is told apart from the words: %+v", refusal)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || again != tc.again {
				t.Errorf("%s: again is %t (-want +got):\n%s", tc.why, again, diff)
			}
		})
	}
}

func TestTake(t *testing.T) {
	free := service.Desk{Version: 1, In: 1}
	mine, err := free.Take("ana", 0, false, noon)
	if err != nil || mine.Claim != (service.Claim{Agent: "ana", Until: noon.Add(service.DefaultClaim)}) {
		t.Fatalf("%+v, %v", mine.Claim, err)
	}
	renewed, err := mine.Take("ana", time.Hour, false, noon.Add(time.Minute))
	if err != nil || !renewed.Claim.Until.Equal(noon.Add(time.Minute+service.MaxClaim)) {
		t.Errorf("a claim is renewed, and bounded: %+v, %v", renewed.Claim, err)
	}
	if got, err := mine.Take("ben", 0, false, noon.Add(time.Minute)); got != mine {
		t.Errorf("%+v", got)
	} else if refusal := wantRefusal(t, err, service.ReasonClaimed); refusal.Holder != "ana" || !refusal.Until.Equal(mine.Claim.Until) {
		t.Errorf("%+v", refusal)
	}
	if got, err := mine.Take("ben", 0, true, noon.Add(time.Minute)); err != nil || got.Claim.Agent != "ben" {
		t.Errorf("it can be taken over: %+v, %v", got, err)
	}
	if got := mine.Release("ben"); got != mine {
		t.Errorf("another's claim is not given back: %+v", got)
	}
	if got := mine.Release("ana"); got != free {
		t.Errorf("%+v", got)
	}
	_, err = free.Take("", 0, false, noon)
	wantRefusal(t, err, service.ReasonUnknown)
}

// Whatever agents and the customer do, no answer is accepted from who has not read all of it, and a version never counts twice.
func TestNobodyAnswersWhatTheyHaveNotRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		desk, now := service.Desk{}, noon
		seen, key := map[string]int64{}, 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
			agent := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "agent")
			before := desk
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				desk = desk.Receive()
			case 1:
				seen[agent] = desk.Version
			case 2:
				desk, _ = desk.Take(agent, 0, false, now)
				if before.Claim.Holds(now) && before.Claim.Agent != agent && desk != before {
					t.Fatalf("%s took what %s holds", agent, before.Claim.Agent)
				}
			case 3:
				desk = desk.Release(agent)
			case 4:
				key++
				attempt := service.Attempt{Agent: agent, Seen: seen[agent], Key: string(rune('A' + key))}
				next, _, err := desk.Answer(attempt, now)
				allowed := seen[agent] == desk.Version && (!desk.Claim.Holds(now) || desk.Claim.Agent == agent)
				if allowed != (err == nil) {
					t.Fatalf("%+v at %+v: %v", attempt, desk, err)
				}
				if err == nil {
					if twice, again, err := next.Answer(attempt, now); err != nil || !again || twice != next {
						t.Fatalf("the same attempt counts twice: %+v, %v", twice, err)
					}
				}
				desk = next
			}
			if desk.Version < before.Version || desk.Version > before.Version+1 {
				t.Fatalf("version %d after %d", desk.Version, before.Version)
			}
		}
	})
}
