package crash

import (
	"flag"
	"os"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

func TestMain(m *testing.M) {
	os.Exit(Main(func() int {
		ctrl.SetLogger(logr.Discard()) // clients in tests have nothing to say
		flag.Parse()
		// Scenarios wait more than they work, for servers that are slow on purpose and for leases that run out.
		if err := flag.Set("test.parallel", "5"); err != nil {
			panic(err)
		}
		return m.Run()
	}))
}
