package listentest_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/listentest"
)

// faultVariable names the fault of the connector in a test process that has to fail.
const faultVariable = "LISTENTEST_FAULT"

// TestConformance: a connector that does what it should passes.
func TestConformance(t *testing.T) {
	fault := os.Getenv(faultVariable)
	listentest.Run(t, func(t *testing.T, _ *listentest.Clock) *listentest.Network {
		fake := &logNetwork{first: 1, changed: make(chan struct{})}
		server := listentest.NewServer(t, fake, true)
		settings, _ := json.Marshal(map[string]string{"url": server.URL()})
		return &listentest.Network{
			Open:    func(o listen.Options) (listen.Connector, error) { return openLog(o, fault) },
			Options: listen.Options{Source: "log", Settings: settings, Credentials: map[string]string{"token": token}},
			Server:  server,
			Publish: fake.publish,
			Edit:    fake.edit,
			Delete:  func(id string) { fake.do(entry{Op: "delete", ID: id}) },
			Forget:  fake.forget,
			Revoke:  fake.revoke(true), Restore: fake.revoke(false),
			AwaitStream: fake.awaitStream,
			Hooks:       fake.hooks, Sign: sign,
		}
	})
}

// TestFaultsAreFound: of a connector that does not, the tests say so that are about it.
func TestFaultsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs the suite many times")
	}
	for fault, found := range map[string]string{
		"loses one of a page":             "polling_brings_what_is_published",
		"turns the order":                 "polling_brings_many_in_batches",
		"forgets deletions":               "polling_follows_deletions",
		"shows scripts":                   "polling_makes_what_strangers_write_harmless",
		"names nobody":                    "polling_brings_what_is_published",
		"reads everything":                "polling_reads_a_gigabyte_in_bounds",
		"asks again at once":              "polling_leaves_alone_who_was_asked_too_often",
		"tells secrets":                   "polling_says_that_credentials_are_no_longer_valid",
		"swallows nonsense":               "polling_says_that_it_reads_nonsense",
		"hides gaps":                      "polling_tells_what_it_cannot_know_any_more",
		"leaves goroutines":               "closes_what_it_has_opened",
		"takes any settings":              "refuses_settings",
		"believes anybody":                "receiving_refuses_what_was_not_signed",
		"goes on where nothing is stored": "streaming_ends_where_nothing_can_be_stored",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestConformance$/^"+found+"$") //nolint:gosec // this test itself
			command.Env = append(os.Environ(), faultVariable+"="+fault)
			said, err := command.CombinedOutput()
			if err == nil || !strings.Contains(string(said), "--- FAIL: TestConformance/"+found) {
				t.Errorf("the suite passes a connector that %s:\n%.2000s", fault, said)
			}
		})
	}
}
