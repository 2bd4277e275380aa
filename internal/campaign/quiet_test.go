package campaign_test

import (
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

func TestQuietHours(t *testing.T) {
	noon := campaign.Window{From: "12:00", To: "13:00"}
	for name, c := range map[string]struct {
		quiet []campaign.Window
		part  string // of the error
	}{
		"none":            {nil, ""},
		"a night":         {[]campaign.Window{{From: "22:00", To: "08:00"}}, ""},
		"a day off":       {[]campaign.Window{{From: "00:00", To: "24:00", Days: []string{"Sunday"}}}, ""},
		"all but noon":    {[]campaign.Window{{From: "13:00", To: "12:00"}}, ""},
		"all":             {[]campaign.Window{{From: "13:00", To: "12:00"}, noon}, "no minute"},
		"the same time":   {[]campaign.Window{{From: "08:00", To: "08:00"}}, "no minute"},
		"every day":       {[]campaign.Window{{From: "00:00", To: "24:00", Days: []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}}}, "no minute"},
		"no time":         {[]campaign.Window{{From: "25:00", To: "08:00"}}, `"25:00"`},
		"one digit":       {[]campaign.Window{{From: "9:00", To: "10:00"}}, `"9:00"`},
		"a short weekday": {[]campaign.Window{{From: "08:00", To: "09:00", Days: []string{"Sat"}}}, `"Sat"`},
	} {
		err := campaign.CheckQuiet(c.quiet)
		if (err == nil) != (c.part == "") || err != nil && !strings.Contains(err.Error(), c.part) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
