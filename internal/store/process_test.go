package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func TestProcesses(t *testing.T) {
	db := storetest.New(t)
	ctx := context.Background()
	exec := func(sql string) {
		t.Helper()
		if _, err := db.Pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	news := func() bool {
		t.Helper()
		changes, err := db.TakeStatusChanges(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return cmp.Equal(changes, []store.StatusChange{{Kind: "CRMTenant", Name: "default"}})
	}
	worker := store.Process{ID: "w-1", Kind: store.WorkerProcess, Version: "1.0", Digest: "a"}
	steps := []struct {
		why  string
		do   func() error
		want []store.Process
		news bool
	}{
		{"it is new", func() error { return db.SaveProcess(ctx, worker) }, []store.Process{worker}, true},
		{"it says the same", func() error { return db.SaveProcess(ctx, worker) }, []store.Process{worker}, false},
		{"it uses other credentials", func() error {
			worker.Digest = "b"
			return db.SaveProcess(ctx, worker)
		}, []store.Process{{ID: "w-1", Kind: store.WorkerProcess, Version: "1.0", Digest: "b"}}, true},
		{"another one", func() error {
			return db.SaveProcess(ctx, store.Process{ID: "s-1", Kind: store.ServerProcess, Version: "1.1", Digest: "b"})
		}, []store.Process{
			{ID: "s-1", Kind: store.ServerProcess, Version: "1.1", Digest: "b"}, {ID: "w-1", Kind: store.WorkerProcess, Version: "1.0", Digest: "b"},
		}, true},
		{"it ends", func() error { return db.DeleteProcess(ctx, "s-1") }, []store.Process{{ID: "w-1", Kind: store.WorkerProcess, Version: "1.0", Digest: "b"}}, true},
		{"it has ended already", func() error { return db.DeleteProcess(ctx, "s-1") }, []store.Process{{ID: "w-1", Kind: store.WorkerProcess, Version: "1.0", Digest: "b"}}, false},
		{"nobody is silent for an hour", func() error {
			exec("update process set seen_at = now() - interval '59 minutes'")
			return db.SweepProcesses(ctx)
		}, []store.Process{{ID: "w-1", Kind: store.WorkerProcess, Version: "1.0", Digest: "b"}}, false},
		{"it is", func() error {
			exec("update process set seen_at = now() - interval '61 minutes'")
			return db.SweepProcesses(ctx)
		}, nil, true},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.why, err)
		}
		got, err := db.Processes(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.want, got, cmpopts.IgnoreFields(store.Process{}, "Uptime", "Silent"), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.why, diff)
		}
		if got := news(); got != s.news {
			t.Errorf("%s: the tenant's status is to be looked at again: %t, want %t", s.why, got, s.news)
		}
	}
}

func TestProcessesTellTimesByTheDatabasesClock(t *testing.T) {
	db := storetest.New(t)
	ctx := context.Background()
	if err := db.SaveProcess(ctx, store.Process{ID: "w-1", Kind: store.WorkerProcess, Version: "1.0", Uptime: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pool.Exec(ctx, "update process set seen_at = seen_at - interval '5 minutes'"); err != nil {
		t.Fatal(err)
	}
	got, err := db.Processes(ctx)
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	if got[0].Uptime < time.Hour || got[0].Uptime > 2*time.Hour || got[0].Silent < 5*time.Minute || got[0].Silent > 10*time.Minute {
		t.Errorf("up for %s, silent for %s", got[0].Uptime, got[0].Silent)
	}
	// Who says something is no longer silent, and has not begun anew.
	if err := db.SaveProcess(ctx, store.Process{ID: "w-1", Kind: store.WorkerProcess, Version: "1.0"}); err != nil {
		t.Fatal(err)
	}
	if got, err = db.Processes(ctx); err != nil || got[0].Silent > time.Minute || got[0].Uptime < time.Hour {
		t.Errorf("%v, %v", got, err)
	}
}
