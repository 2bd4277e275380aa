package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

var databaseReadOnly = drill{
	name: "database-read-only",
	done: "the tenant's database takes no writes for a while, as a standby or a full quota does; it is told, and sending goes on after",
	run: func(ctx context.Context, s *stage, r *result) error {
		return s.sendDisturbed(ctx, r, disturbance{perSecond: 80, do: func(ctx context.Context) error {
			return s.unrestarted(ctx, s.lockDatabase)
		}})
	},
}

// lockDatabase makes every new session of the tenant's database read-only, and ends those that there are.
func (s *stage) lockDatabase(ctx context.Context) error {
	admin, err := store.Open(ctx, s.db.url(), store.Options{MaxConns: 1, ApplicationName: "e2e"})
	if err != nil {
		return err
	}
	defer admin.Close()
	set := func(to string) error {
		if _, err := admin.Pool.Exec(ctx, "alter database tertulia_velo_demo set default_transaction_read_only = "+to); err != nil {
			return fmt.Errorf("make the database read-only (%s): %w", to, err)
		}
		_, err := admin.Pool.Exec(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'tertulia_velo_demo'")
		if err != nil {
			return fmt.Errorf("end the sessions of the tenant's database: %w", err)
		}
		return nil
	}
	if err := set("on"); err != nil {
		return err
	}
	seen := s.lookAtReadOnly(ctx)
	if err := set("off"); err != nil {
		return err
	}
	if seen != nil {
		return seen
	}
	return s.healthy(ctx)
}

// lookAtReadOnly wants nothing to be sent while nothing can be written down, and that to be told: by a condition of the
// tenant, and to support.
func (s *stage) lookAtReadOnly(ctx context.Context) error {
	if err := pause(ctx, outage); err != nil {
		return err
	}
	before := s.box.Store().Len() // what was being handed over has come by now
	if err := pause(ctx, outage); err != nil {
		return err
	}
	if came := s.box.Store().Len() - before; came > 0 {
		return fmt.Errorf("%d mails came while no intent could be committed", came)
	}
	told, err := s.awaitTold(ctx)
	if err != nil {
		return err
	}
	s.show.note("told: %s", told)
	address, token, err := s.server(ctx, velo)
	if err != nil {
		return err
	}
	var diagnosis struct {
		ReadOnly bool `json:"read_only"`
	}
	if err := getJSON(ctx, address+"/t/velo-demo/v1/diagnosis", token, &diagnosis); err != nil {
		return fmt.Errorf("ask the server for a diagnosis: %w", err)
	}
	if !diagnosis.ReadOnly {
		return errors.New("the server's diagnosis does not say that the database is read-only")
	}
	return nil
}

// awaitTold waits until a condition of the tenant says that something is wrong, and returns its words.
func (s *stage) awaitTold(ctx context.Context) (told string, err error) {
	err = await(ctx, 2*time.Minute, func(ctx context.Context) (string, error) {
		var tenant v1alpha1.CRMTenant
		if err := s.client.Get(ctx, client.ObjectKey{Namespace: velo, Name: v1alpha1.TenantName}, &tenant); err != nil {
			return "", err
		}
		c := meta.FindStatusCondition(tenant.Status.Conditions, v1alpha1.ReadyCondition)
		if c == nil || c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.DatabaseReadOnlyReason {
			return "the tenant's condition does not say so", nil
		}
		told = fmt.Sprintf("%s=False, %s: %s", c.Type, c.Reason, c.Message)
		return "", nil
	})
	if err != nil {
		return "", fmt.Errorf("wait to be told that the database is read-only: %w", err)
	}
	return told, nil
}
