package networks_test

import (
	"os"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/listen/networks"
)

// TestEachNetworkIsDocumented looks for what somebody has to know before a network is listened to.
func TestEachNetworkIsDocumented(t *testing.T) {
	overview, err := os.ReadFile("../../../docs/listening.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, network := range networks.Types() {
		page := strings.ToLower(network) + ".md"
		if !strings.Contains(string(overview), "| ["+network+"](networks/"+page+") |") {
			t.Errorf("docs/listening.md does not name %s", network)
		}
		text, err := os.ReadFile("../../../docs/networks/" + page)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, section := range []string{"## Credentials", "## What it costs and allows", "## What is stored", "## Privacy"} {
			if !strings.Contains(string(text), "\n"+section+"\n") {
				t.Errorf("%s lacks %q", page, section)
			}
		}
		before, _, _ := strings.Cut(string(text), "\n## ")
		if !strings.Contains(before, "*Verified against ") && !strings.Contains(before, "*Built to ") {
			t.Errorf("%s does not tell whether it was tried on a real server", page)
		}
	}
}
