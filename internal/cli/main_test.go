package cli

import (
	"os"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// runAsProgram asks this test binary to be the tertulia program, so that tests run its processes without building it first.
const runAsProgram = "TERTULIA_TEST_RUN_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(runAsProgram) == "" {
		ctrl.SetLogger(logr.Discard()) // clients in tests have nothing to say
		storetest.Main(m)
		return
	}
	os.Exit(Main())
}
