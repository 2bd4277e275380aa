package ports

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
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

// takerFile tells this test binary, run as a process of its own, in which file to reserve a port.
const takerFile = "PORTS_TEST_TAKER"

// TestMain lets this binary be the other process of TestTakenByAnotherProcess: it reserves a port, says so and waits for its end.
func TestMain(m *testing.M) {
	file := os.Getenv(takerFile)
	if file == "" {
		os.Exit(m.Run())
	}
	if err := (&ledger{path: file}).take(lowest); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("taken")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestTakenByAnotherProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ports")
	other := exec.Command(os.Args[0]) //nolint:gosec // this test binary
	other.Env = append(os.Environ(), takerFile+"="+file)
	stdin, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if said, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || said != "taken\n" {
		t.Fatalf("the other process said %q, %v", said, err)
	}

	ours := &ledger{path: file}
	if err := ours.take(lowest); !errors.Is(err, errTaken) {
		t.Errorf("the other's port: got %v, want %v", err, errTaken)
	}
	if err := ours.take(lowest + 1); err != nil {
		t.Errorf("the next port: %v", err)
	}
	if err := ours.take(lowest + 1); !errors.Is(err, errTaken) {
		t.Errorf("a port of our own: got %v, want %v", err, errTaken)
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := other.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := ours.take(lowest); err != nil {
		t.Errorf("after the other process ended: %v", err)
	}
}
