package main

import (
	"context"
	"time"
)

// outage is how long a server stays away.
const outage = 6 * time.Second

var apiServerAway = drill{
	name: "api-server-away",
	done: "API server and etcd are stopped and started again; sending goes on without them",
	run: func(ctx context.Context, s *stage, r *result) error {
		return s.sendDisturbed(ctx, r, disturbance{perSecond: 50, do: s.restartAPIServer})
	},
}

func (s *stage) restartAPIServer(ctx context.Context) error {
	plane := s.node.ControlPlane()
	if err := plane.StopAPIServer(ctx); err != nil {
		return err
	}
	if err := plane.StopEtcd(ctx); err != nil {
		return err
	}
	if err := s.goesOn(ctx, outage); err != nil {
		return err
	}
	if err := plane.StartEtcd(ctx); err != nil {
		return err
	}
	if err := plane.StartAPIServer(ctx); err != nil {
		return err
	}
	return s.awaitPods(ctx, system, "operator", operators)
}

var databaseRestarted = drill{
	name: "database-restarted",
	done: "PostgreSQL is restarted (fast mode); no pod is restarted for it",
	run: func(ctx context.Context, s *stage, r *result) error {
		return s.sendDisturbed(ctx, r, disturbance{perSecond: 100, do: func(ctx context.Context) error {
			return s.withoutDatabase(ctx, s.db.stop)
		}})
	},
}

var databaseCrashed = drill{
	name: "database-crashed",
	done: "PostgreSQL is ended in immediate mode and recovers; no pod is restarted for it",
	run: func(ctx context.Context, s *stage, r *result) error {
		return s.sendDisturbed(ctx, r, disturbance{perSecond: 100, do: func(ctx context.Context) error {
			return s.withoutDatabase(ctx, func(context.Context) error { return s.db.crash() })
		}})
	},
}

// withoutDatabase ends PostgreSQL, starts it again, and wants the tenant's processes to have lived through it.
func (s *stage) withoutDatabase(ctx context.Context, end func(context.Context) error) error {
	return s.unrestarted(ctx, func(ctx context.Context) error {
		if err := end(ctx); err != nil {
			return err
		}
		if err := pause(ctx, outage); err != nil {
			return err
		}
		if err := s.db.start(ctx); err != nil {
			return err
		}
		return s.healthy(ctx)
	})
}
