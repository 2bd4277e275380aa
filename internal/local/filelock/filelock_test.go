package filelock

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
)

func TestOneHolderAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "lock")
	first, err := TryAcquire(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := TryAcquire(path); !errors.Is(err, ErrHeld) {
		t.Fatalf("second TryAcquire: got %v, want ErrHeld", err)
	}

	told := make(chan struct{})
	got := make(chan error, 1)
	go func() {
		second, err := Acquire(context.Background(), path, func() { close(told) })
		if err == nil {
			err = second.Release()
		}
		got <- err
	}()
	<-told
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatalf("Acquire after the release: %v", err)
	}
}

func TestAcquireEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	holder, err := TryAcquire(path)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Release() //nolint:errcheck // the folder goes with the test
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := Acquire(ctx, path, cancel); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
}
