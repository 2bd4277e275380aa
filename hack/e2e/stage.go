package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/hack/people/invent"
	"github.com/tertulia-crm/tertulia/internal/local/mailbox"
	"github.com/tertulia-crm/tertulia/internal/local/node"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
)

// Ports on the bridge, where pods reach what runs beside the node.
const (
	databasePort = 5432
	smtpPort     = 2525
	webPort      = 8025
)

// stage is the cluster and all that stands around it.
type stage struct {
	options
	show    *narrator
	built   artefacts
	node    *node.Node
	db      *database
	box     *mailbox.Mailbox
	client  client.Client
	kube    kubernetes.Interface
	people  *invent.Population
	second  string    // the chart of the second release, once it is installed
	example *result   // nil until its drill has run
	sends   []*result // of the drills so far, which are looked at again at the end
}

func (s *stage) path(names ...string) string {
	return filepath.Join(append([]string{s.dataDir}, names...)...)
}

// raise brings everything up, from an empty directory. On an error nothing is left running.
func raise(ctx context.Context, o options, show *narrator) (*stage, error) {
	s := &stage{options: o, show: show}
	for _, step := range []func(context.Context) error{
		s.clear, s.startMachinery, s.connect, s.installChart, s.declareTenant, s.importPeople,
	} {
		if err := step(ctx); err != nil {
			if s.kube != nil {
				s.tellTrouble(context.WithoutCancel(ctx), "start")
			}
			return nil, errors.Join(err, s.lower(context.WithoutCancel(ctx)))
		}
	}
	return s, nil
}

// clear removes what an earlier run left.
func (s *stage) clear(ctx context.Context) error {
	if err := node.Clear(ctx); err != nil {
		return err
	}
	if err := postgres.EndLeftOver(ctx, s.path("postgres")); err != nil {
		return err
	}
	if err := os.RemoveAll(s.dataDir); err != nil {
		return fmt.Errorf("remove what an earlier run left: %w", err)
	}
	return os.MkdirAll(s.dataDir, 0o755)
}

// startMachinery builds images while the node starts, and then what needs the node's bridge.
func (s *stage) startMachinery(ctx context.Context) error {
	s.show.begin("Starting a Kubernetes node, building images")
	both, bothCtx := errgroup.WithContext(ctx)
	both.Go(func() (err error) {
		s.built, err = build(bothCtx, s.path("images"))
		return err
	})
	both.Go(func() (err error) {
		s.node, err = node.Start(bothCtx, node.Options{Dir: s.path("node"), Progress: os.Stderr, EnforceNetworkPolicies: true})
		return err
	})
	if err := both.Wait(); err != nil {
		return err
	}
	for _, archive := range s.built.archives {
		if err := s.node.ImportImage(ctx, archive); err != nil {
			return err
		}
	}
	s.show.done("ready, with %d images", len(s.built.archives))
	s.show.begin("Starting PostgreSQL and a mailbox on %s", node.Address)
	s.db = &database{dir: s.path("postgres"), log: s.path("postgres.log")}
	if err := s.db.start(ctx); err != nil {
		return err
	}
	box, err := mailbox.Start(mailbox.Options{
		Dir: s.path("mailbox"), SMTP: fmt.Sprintf("%s:%d", node.Address, smtpPort), Web: fmt.Sprintf("127.0.0.1:%d", webPort), Log: logr.Discard(),
	})
	if err != nil {
		return err
	}
	s.box = box
	s.show.done("ready")
	return nil
}

// lower ends everything. What holds a connection to the bridge's address ends before the bridge does.
func (s *stage) lower(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var errs []error
	if s.box != nil {
		errs = append(errs, s.box.Stop(ctx))
	}
	if s.db != nil {
		errs = append(errs, s.db.close(ctx))
	}
	if s.node != nil {
		errs = append(errs, s.node.Stop(ctx))
	}
	return errors.Join(errs...)
}

// chart and tag are of the release that is installed.
func (s *stage) chart() string {
	if s.second != "" {
		return s.second
	}
	return "charts/tertulia"
}

func (s *stage) tag() string {
	if s.second != "" {
		return secondRelease
	}
	return firstRelease
}

// perSecond makes the mailbox so slow that the tenant's workers together deliver about so many messages a second.
func (s *stage) perSecond(rate float64) {
	s.box.SetDelay(time.Duration(workers * connections / rate * float64(time.Second)))
}
