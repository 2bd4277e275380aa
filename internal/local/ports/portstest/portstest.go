// Package portstest gives tests addresses to listen on.
package portstest

import (
	"fmt"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/local/ports"
)

// Address is one of 127.0.0.1 that nobody listens on, and that is given to nobody else until the tests end.
func Address(t testing.TB) string {
	t.Helper()
	free, err := ports.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", free[0])
}
