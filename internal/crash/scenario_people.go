package crash

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/crash/sink"
	"github.com/tertulia-crm/tertulia/internal/local/supervise"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

var peopleScenarios = []Scenario{
	{
		Name: "people-unsubscribe", Done: "people unsubscribe over HTTP, one by one, while two workers send to them",
		run: unsubscribePeople,
	},
	{
		Name: "people-imported", run: importPeople,
		Done: "an import gives people other addresses, and people the addresses of others, some of whom have their message already",
	},
	{
		Name: "people-imported-many", run: importAsMany,
		Done: "an import as large as the audience, of people in it and of others, while two workers send and segments follow",
	},
	{
		Name: "people-merged", Done: "people are merged over HTTP, two by two, while two workers send to both; one of the workers is killed (kill -9)",
		Allows: Allowance{WorkerDeaths: 1}, run: mergePeople,
	},
}

// server is `tertulia server` for the scenario's tenant.
type server struct {
	base  string // of the tenant
	token string
}

func (w *world) startServer(ctx context.Context) (*server, error) {
	free, err := addresses(2)
	if err != nil {
		return nil, err
	}
	s := &server{base: "http://" + free[0] + "/t/" + w.id, token: store.NewToken()}
	if w.cluster == nil {
		_, err = w.db.EnsureAdminToken(ctx, store.HashToken(s.token))
	} else {
		s.token, err = w.cluster.adminToken(ctx)
	}
	if err != nil {
		return nil, err
	}
	p, err := w.start(ctx, "server", roleProgram, nil, "server", "--tenant-dir", w.tenant, "--listen", free[0], "--health-listen", free[1],
		"--drain-delay", "0s")
	if err != nil {
		return nil, err
	}
	return s, p.AwaitReady(ctx, startTimeout, supervise.Healthy("http://"+free[1]+"/readyz"))
}

// someOf picks n people at random, none of whom is in among.
func (w *world) someOf(n int, among map[int]bool) []int {
	var people []int
	for len(people) < n {
		if person := 1 + w.random.IntN(w.parameters.Size); !among[person] {
			among[person] = true
			people = append(people, person)
		}
	}
	return people
}

// contacts are the ids of people in the database.
func (w *world) contacts(ctx context.Context) (map[int]int64, error) {
	rows, err := w.db.Pool.Query(ctx, "select id, attr_first_name from contact")
	if err != nil {
		return nil, fmt.Errorf("read the contacts: %w", err)
	}
	defer rows.Close()
	ids := map[int]int64{}
	for rows.Next() {
		var id int64
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return nil, fmt.Errorf("read the contacts: %w", err)
		}
		ids[sink.Number(name)] = id
	}
	return ids, rows.Err()
}

// leavers is how many people unsubscribe.
const leavers = 60

func unsubscribePeople(ctx context.Context, w *world) error {
	s, err := w.startServer(ctx)
	if err != nil {
		return err
	}
	ids, err := w.contacts(ctx)
	if err != nil {
		return err
	}
	key, err := w.db.LinkKey(ctx)
	if err != nil {
		return err
	}
	if _, err := w.begin(ctx, 2); err != nil {
		return err
	}
	err = w.disturb(ctx, w.shares(1)[0], func() error {
		var sendID int64
		if err := w.db.Pool.QueryRow(ctx, "select id from send where send_key = $1", campaignName).Scan(&sendID); err != nil {
			return fmt.Errorf("find the send: %w", err)
		}
		for _, person := range w.someOf(leavers, map[int]bool{}) {
			// Should the message be under way, the page says the same: their decision holds from the answer on.
			if err := s.leave(ctx, render.SignUnsubscribe(key, sendID, ids[person])); err != nil {
				return err
			}
			w.unsubscribed[person], w.excused[person] = time.Now(), true
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(w.awaitEnd(ctx), w.someSkipped(ctx, "NoConsent"))
}

// leave posts what a mail client posts for one click.
func (s *server) leave(ctx context.Context, token string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/u/"+token, strings.NewReader("List-Unsubscribe=One-Click"))
	if err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("unsubscribe: the server answered %s", response.Status), err)
	}
	return nil
}

// someSkipped wants rows that were skipped for a reason: without one, what was done came too late to prove anything.
func (w *world) someSkipped(ctx context.Context, reason string) error {
	var n int
	if err := w.db.Pool.QueryRow(ctx, "select count(*) from ledger where state = 'skipped' and reason = $1", reason).Scan(&n); err != nil {
		return fmt.Errorf("count the skipped rows: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("nobody was skipped for %s, which proves nothing", reason)
	}
	return nil
}

// Of the audience, one in so many is given another address, and as many the address of somebody else.
const movers = 10

func importPeople(ctx context.Context, w *world) error {
	s, err := w.startServer(ctx)
	if err != nil {
		return err
	}
	if _, err := w.begin(ctx, 2); err != nil {
		return err
	}
	chosen := map[int]bool{}
	var rows [][]string
	for _, person := range w.someOf(w.parameters.Size/movers, chosen) {
		rows = append(rows, []string{fmt.Sprintf("C%d", person), fmt.Sprintf("m%d@moved.example", person)})
	}
	// Who takes over the address of somebody who has a message there gets none; who does so before shares the address with its
	// former owner, and one of both gets it.
	heirs, owners := w.someOf(w.parameters.Size/movers, chosen), w.someOf(w.parameters.Size/movers, chosen)
	for i, person := range heirs {
		rows = append(rows, []string{fmt.Sprintf("C%d", person), addressOf(owners[i])})
		w.excused[person], w.excused[owners[i]] = true, true
	}
	err = w.disturb(ctx, w.shares(1)[0], func() error {
		// Twice: the second time changes nothing.
		return errors.Join(s.importContacts(ctx, "email:verified", rows), s.importContacts(ctx, "email:verified", rows))
	})
	if err != nil {
		return err
	}
	if err := errors.Join(w.awaitEnd(ctx), w.someSkipped(ctx, "DuplicateAddress")); err != nil {
		return err
	}
	return w.someMoved()
}

// someMoved wants mails to addresses that came with the import.
func (w *world) someMoved() error {
	entries, err := w.relay.record.Entries()
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.To, "@moved.example") {
			return nil
		}
	}
	return errors.New("nobody was written to at an address that came with the import, which proves nothing")
}

// importContacts imports people with one more column, by what the shop knows them as.
func (s *server) importContacts(ctx context.Context, column string, rows [][]string) error {
	var file strings.Builder
	out := csv.NewWriter(&file)
	if err := out.WriteAll(append([][]string{{"external_id", column}}, rows...)); err != nil {
		return fmt.Errorf("import contacts: %w", err)
	}
	return s.importFile(ctx, file.String(), len(rows))
}

// importFile imports a CSV file of so many rows, none of which may be rejected.
func (s *server) importFile(ctx context.Context, file string, rows int) error {
	response, err := s.post(ctx, "/v1/imports/contacts?source=shop", "text/csv", file)
	if err != nil {
		return fmt.Errorf("import contacts: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	var last struct {
		Result *struct {
			Rows, Rejected int
		}
		Detail string
		Error  *struct{ Detail string }
	}
	for answers := json.NewDecoder(response.Body); answers.More(); {
		if err := answers.Decode(&last); err != nil {
			return fmt.Errorf("import contacts: read the answer: %w", err)
		}
	}
	if last.Result == nil || last.Result.Rows != rows || last.Result.Rejected > 0 {
		return fmt.Errorf("import contacts: the server answered %s: %+v", response.Status, last)
	}
	return nil
}

// post sends what somebody with the administrator's token does. The caller closes the answer's body.
func (s *server) post(ctx context.Context, path, contentType, body string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Content-Type", contentType)
	return http.DefaultClient.Do(request)
}
