package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/policy"
)

var spring = policy.Campaign{
	Name: "spring", SendKey: "spring-2027", Purpose: "newsletter", Channel: "news", Priority: "Bulk",
	Segments: []string{"club", "lapsed"}, Exclude: []string{}, MaxRecipients: 5000, Templates: []string{"spring"},
	StartsAt: time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC).In(time.FixedZone("there", 3600)),
}

func TestRulesJudgeCampaigns(t *testing.T) {
	for expression, satisfied := range map[string]bool{
		`campaign.maxRecipients <= 5000`:                                                    true,
		`campaign.maxRecipients < 5000`:                                                     false,
		`campaign.purpose in ["newsletter", "offers"] && campaign.cron == ""`:               true,
		`!("club" in campaign.segments)`:                                                    false,
		`campaign.segments.hasOnly(["club", "lapsed", "pro"])`:                              true,
		`campaign.segments.hasOnly(["club", "pro"])`:                                        false,
		`campaign.segments.hasAll(["club", "lapsed"])`:                                      true,
		`campaign.exclude.hasAny(["complained", "press"])`:                                  false,
		`has(campaign.segments) && !has(campaign.exclude)`:                                  true,
		`campaign.weekday != "Sunday"`:                                                      false,
		`campaign.weekday == "Sunday" && campaign.time >= "10:00"`:                          true, // where it is sent
		`campaign.date == date("2027-03-21") && campaign.date < date("2027-04-01")`:         true,
		`campaign.startsAt > timestamp("2027-01-01T00:00:00Z")`:                             true,
		`campaign.priority == "Bulk" || campaign.purpose == "receipts"`:                     true,
		`"complained" in campaign.exclude`:                                                  false,
		`campaign.sendKey.startsWith("spring-") && campaign.name.containsIgnoreCase("PRI")`: true,
		`campaign.name.lowerAscii() == "spring" && "ÁbC".lowerAscii() == "Ábc"`:             true,
		`!campaign.rolling`:                   true,
		`campaign.name in campaign.templates`: true,
	} {
		rule, err := policy.Rule{Name: "r", Expression: expression, Message: "Mend it."}.Compile()
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got := rule.Judge(spring); (got == "") != satisfied || !satisfied && got != "Mend it." {
			t.Errorf("%s: %q", expression, got)
		}
	}
}

// TestWhenACampaignRecursIsUnknown: one that recurs has no day of its own, and comparing with the unknown is false.
func TestWhenACampaignRecursIsUnknown(t *testing.T) {
	recurring := spring
	recurring.StartsAt, recurring.Cron = time.Time{}, "0 9 * * 1"
	for expression, satisfied := range map[string]bool{
		`campaign.weekday == null && campaign.date == null && campaign.time == null && !has(campaign.startsAt)`: true,
		`campaign.weekday == "Monday"`:                          false,
		`campaign.weekday != "Sunday"`:                          true,
		`campaign.time >= "08:00"`:                              false,
		`campaign.cron == "" || campaign.maxRecipients <= 5000`: true,
	} {
		rule, err := policy.Rule{Name: "r", Expression: expression, Message: "Mend it."}.Compile()
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got := rule.Judge(recurring); (got == "") != satisfied {
			t.Errorf("%s: %q", expression, got)
		}
	}
}

// TestRulesThatAreWrong: what makes a text of any length in one call, or nests over lists, is no part of the language; nor are people and
// the clock.
func TestRulesThatAreWrong(t *testing.T) {
	for expression, part := range map[string]string{
		`campaign.recipients`:                             `1:10: campaign has no field "recipients": did you mean "maxRecipients"?`,
		`contact.plan == "x"`:                             "1:1: contact is not part of this expression: it is about the campaign alone",
		`campaign.startsAt > now`:                         "1:21: now is not part of this expression",
		`campaign.startsAt > ahead("1d")`:                 "1:21: ahead is not part of this expression",
		`events("purchase").count() > 0`:                  "1:1: events is not part of this expression",
		`in_segment("club")`:                              "1:1: in_segment is not part of this expression",
		`weekday == "Monday"`:                             `did you mean "campaign.weekday"?`,
		`campaign.weekday == "Mondy"`:                     `1:21: campaign.weekday is never "Mondy": did you mean "Monday"?`,
		`campaign.name`:                                   "not a condition",
		`campaign == "x"`:                                 "campaign is not a value: name one of its fields, such as campaign.name",
		"campaign.name ==\n 3":                            "1:15: cannot compare campaign.name (String) with an Integer",
		"campaign.name == 'x' &&\n  campaign.nom == 'x'":  `2:12: campaign has no field "nom"`,
		`campaign.segments.all(s, s != "club")`:           `unknown function "all"`,
		`campaign.templates.size() == 1`:                  `unknown function "size"`,
		`campaign.segments[5] == "club"`:                  "indexes are not part of the language",
		`campaign.name.matches("^x")`:                     "regular expressions are not part of the language",
		`campaign.name == "ana@velo.example"`:             "an address or a number of a person must not stand in an expression",
		`campaign.name.replace("", campaign.name) == "x"`: `unknown function "replace"`,
		``:                          "the expression is empty",
		strings.Repeat("x", 10_000): "at most 8192",
	} {
		_, err := policy.Rule{Name: "r", Expression: expression}.Compile()
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%.40s: the error lacks %q: %v", expression, part, err)
		}
	}
}

// TestARuleOfAnotherReleaseIsBroken: what was in force before the language changed holds campaigns until somebody mends it.
func TestARuleOfAnotherReleaseIsBroken(t *testing.T) {
	p := policy.SendPolicy{Name: "calm", Rules: []policy.Rule{{Name: "r", Expression: `campaign.segments.all(s, s != "club")`, Message: "Not the club."}}}
	found := p.Judge(spring)
	if len(found) != 1 || !strings.HasPrefix(found[0].Message, "Not the club. (The rule cannot be answered: 1:19: unknown function") {
		t.Errorf("%+v", found)
	}
}

func TestPurposesAreKnown(t *testing.T) {
	for name, c := range map[string]struct {
		purpose string
		known   []string
		part    string
	}{
		"no policy":    {"newsletter", nil, ""},
		"known":        {"newsletter", []string{"newsletter"}, ""},
		"a slip":       {"newsleter", []string{"newsletter", "offers"}, `did you mean "newsletter"`},
		"none like it": {"x", []string{"newsletter"}, `purpose "x"`},
	} {
		got := policy.JudgePurpose(c.purpose, c.known)
		if (got == "") != (c.part == "") || !strings.Contains(got, c.part) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
