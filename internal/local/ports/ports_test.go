package ports

import (
	"net"
	"path/filepath"
	"strconv"
	"testing"
)

func TestRemembered(t *testing.T) {
	file := filepath.Join(t.TempDir(), "folder", "port")
	first, err := Remembered(file)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Remembered(file); err != nil || again != first {
		t.Fatalf("while it is free: got %d, %v; want %d", again, err, first)
	}
	holder, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(first))
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close() //nolint:errcheck // the test is over
	other, err := Remembered(file)
	if err != nil || other == first {
		t.Fatalf("while it is taken: got %d, %v; want another than %d", other, err, first)
	}
}

func TestFreePortsDiffer(t *testing.T) {
	ports, err := Free(5)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range ports {
		seen[port] = true
	}
	if len(seen) != 5 {
		t.Fatalf("got %v, want five different ports", ports)
	}
}
