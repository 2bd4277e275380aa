package crash

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/store"
)

var rollingScenarios = []Scenario{
	{
		Name: "audience-rolls", Rolls: true, run: killWhileRolling, Allows: Allowance{WorkerDeaths: kills},
		Done: "half of the audience enters in three imports while the campaign is sent, each time with kill -9 of one of two workers; another takes over",
	},
}

// atFirst is how many people are there before the campaign begins: all of them, or half of those who come to a rolling audience.
func (w *world) atFirst() int {
	if w.scenario.Rolls {
		return w.parameters.Size / 2
	}
	return w.parameters.Size
}

func killWhileRolling(ctx context.Context, w *world) error {
	s, err := w.startServer(ctx)
	if err != nil {
		return err
	}
	if err := w.declareAs(ctx, roll); err != nil {
		return err
	}
	workers, err := w.startWorkers(ctx, 2)
	if err != nil {
		return err
	}
	came := w.atFirst()
	shares := w.shares(kills)
	for i, share := range shares {
		last := came + (w.parameters.Size-w.atFirst())/kills
		if i == kills-1 {
			last = w.parameters.Size
		}
		// Of those who are there by now, this share has its message: so all waves meet a send that is under way.
		err := w.disturb(ctx, share*float64(came)/float64(w.parameters.Size), func() error {
			victim := w.random.IntN(len(workers))
			// The worker dies while it takes the wave in, or sends what it took in before.
			if err := errors.Join(s.importWave(ctx, came+1, last), w.kill(workers[victim])); err != nil {
				return err
			}
			workers[victim], err = w.startWorker(ctx, w.tenant)
			return err
		})
		if err != nil {
			return err
		}
		came = last
	}
	if err := w.awaitAll(ctx); err != nil {
		return err
	}
	// Its end is a person's decision: until then it waits for who comes.
	return w.declareAs(ctx, func(c *store.SendConfig) {
		roll(c)
		c.EndsAt = time.Now()
		c.Timing.EndsAt = c.EndsAt.UTC().Format("2006-01-02T15:04:05")
	})
}

func roll(c *store.SendConfig) { c.Rolling = true }

// importWave brings the people from one number to another.
func (s *server) importWave(ctx context.Context, first, last int) error {
	var file strings.Builder
	file.WriteString("external_id,email,first_name,consent:newsletter\n")
	for person := first; person <= last; person++ {
		fmt.Fprintf(&file, "C%d,%s,n%d,true\n", person, addressOf(person), person)
	}
	return s.importFile(ctx, file.String(), last-first+1)
}

// awaitAll waits until everybody of the audience has been taken in and has an outcome.
func (w *world) awaitAll(ctx context.Context) error {
	return w.await(ctx, "everybody who came has an outcome", func() (bool, string, error) {
		s, err := w.db.SendStatus(ctx, campaignName)
		return s.Planned == int64(w.parameters.Size) && s.Pending == 0, fmt.Sprintf("planned %d, sent %d, pending %d", s.Planned, s.Sent, s.Pending), err
	})
}
