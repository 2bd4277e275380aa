//go:build interop

package real

import (
	"os"
	"syscall"
	"testing"
)

// owner tells whose a folder is.
func owner(t *testing.T, path string) (uid, gid uint32) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("this system tells no owners of files")
	}
	return owner.Uid, owner.Gid
}
