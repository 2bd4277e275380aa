package server

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/monitor"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// maxCounts is how large a file of counts is at most: a year of steps of 5 minutes is a third of it.
const maxCounts = 16 << 20

type incidentsInput struct {
	MonitorPath
	Open  bool   `query:"open" doc:"Only those that go on."`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
	After string `query:"after" maxLength:"20" pattern:"^([1-9][0-9]{0,17})?$" doc:"next of the page before."`
}

type incidentsOutput struct {
	Body struct {
		Incidents []incidentBody `json:"incidents" doc:"The newest first."`
		Next      string         `json:"next,omitempty" doc:"What to ask for as after, for those that follow; absent on the last page."`
	}
}

type incidentInput struct {
	MonitorPath
	ID string `path:"id" format:"uuid" doc:"The incident's id."`
}

type incidentOutput struct{ Body incidentBody }

// incidentBody is a burst of negative mentions.
type incidentBody struct {
	ID          string     `json:"id" format:"uuid" doc:"The incident's id."`
	Topic       string     `json:"topic" doc:"What it is about."`
	FromHistory bool       `json:"from_history" doc:"Whether it was found in what was said before the monitor began, and raised no alarm."`
	Began       time.Time  `json:"began" doc:"Since when there were more, as far as can be told."`
	Opened      time.Time  `json:"opened" doc:"When that was clear."`
	LastUnusual time.Time  `json:"last_unusual" doc:"When there were more than usual last."`
	Closed      *time.Time `json:"closed,omitempty" doc:"When it was over; absent while it goes on."`
	Ending      string     `json:"ending,omitempty" doc:"Calmed: nothing was unusual for the cool-down. BecameUsual: it went on for so long that it is what is usual now."`
	Rule        string     `json:"rule" doc:"Burst: so many within a short time that it is not chance. Sustained: more than usual for so long that it is not chance."`

	Evidence  evidenceBody `json:"evidence" doc:"What opened it."`
	Peak      int          `json:"peak" doc:"The most negative mentions within an hour."`
	PeakUsual float64      `json:"peak_usual" doc:"How many are usual then."`
	Drivers   driversBody  `json:"drivers" doc:"What drives it."`
}

type evidenceBody struct {
	From       time.Time `json:"from" doc:"The time that was looked at begins."`
	To         time.Time `json:"to" doc:"And ends."`
	Mentions   int       `json:"mentions" doc:"How many there were."`
	Negatives  int       `json:"negatives" doc:"The negative ones among them."`
	Usual      float64   `json:"usual" doc:"How many negative ones are usual while so much is said otherwise."`
	Authors    int       `json:"authors" doc:"How many people wrote them."`
	Share      float64   `json:"share" doc:"Of negative ones, from 0 to 1."`
	UsualShare float64   `json:"usual_share" doc:"The same as it usually is."`
}

type driversBody struct {
	Terms   []termBody   `json:"terms" doc:"Words that the negative mentions have and others do not."`
	Sources []driverBody `json:"sources" doc:"Which sources brought them."`
	Samples []string     `json:"samples" doc:"Ids of some of them: GET /v1/mentions/{id} shows one to who may see it."`
}

type driverBody struct {
	Source    string `json:"source" doc:"The SocialSource's name."`
	Negatives int64  `json:"negatives" doc:"How many it brought."`
}

func describeIncident(i store.Incident) incidentBody {
	body := incidentBody{
		ID: i.PublicID, Topic: i.Topic, FromHistory: i.FromHistory, Began: i.Began, Opened: i.Opened, LastUnusual: i.LastUnusual, Ending: string(i.Ending),
		Rule: string(i.Rule), Peak: i.Peak, PeakUsual: i.PeakUsual,
		Evidence: evidenceBody{
			From: i.Evidence.From, To: i.Evidence.To, Mentions: i.Evidence.Mentions, Negatives: i.Evidence.Negatives, Usual: i.Evidence.Usual,
			Authors: i.Evidence.Authors, Share: i.Evidence.Share, UsualShare: i.Evidence.UsualShare,
		},
		Drivers: driversBody{Terms: describeTerms(i.Drivers.Terms), Sources: []driverBody{}, Samples: append([]string{}, i.Drivers.Samples...)},
	}
	if !i.Closed.IsZero() {
		body.Closed = &i.Closed
	}
	for _, s := range i.Drivers.Sources {
		body.Drivers.Sources = append(body.Drivers.Sources, driverBody{Source: s.Source, Negatives: s.Negatives})
	}
	return body
}

func listIncidents(ctx context.Context, in *incidentsInput) (*incidentsOutput, error) {
	query := store.IncidentQuery{Monitor: in.Name, OpenOnly: in.Open, Limit: in.Limit + 1}
	if in.After != "" {
		before, err := strconv.ParseInt(in.After, 10, 64)
		if err != nil {
			return nil, huma.Error422UnprocessableEntity("after: is not the next of a page")
		}
		query.Before = before
	}
	list, err := tenantOf(ctx).db.ListIncidents(ctx, query)
	if err != nil {
		return nil, monitorError(ctx, in.Name, err)
	}
	if len(list) == 0 { // of a monitor that is not there, too
		if _, err := findMonitor(ctx, in.Name); err != nil {
			return nil, monitorError(ctx, in.Name, err)
		}
	}
	out := &incidentsOutput{}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		out.Body.Next = strconv.FormatInt(list[in.Limit-1].ID, 10)
	}
	out.Body.Incidents = make([]incidentBody, len(list))
	for i, incident := range list {
		out.Body.Incidents[i] = describeIncident(incident)
	}
	return out, nil
}

func getIncident(ctx context.Context, in *incidentInput) (*incidentOutput, error) {
	incident, err := tenantOf(ctx).db.LoadIncident(ctx, in.ID)
	if err == nil && incident.Monitor != in.Name {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, monitorError(ctx, in.Name, err)
	}
	return &incidentOutput{Body: describeIncident(incident)}, nil
}

type fillInput struct {
	MonitorPath
	Topic   string `query:"topic" maxLength:"63" doc:"Whose counts they are. Default: the brand's, where there is one topic of it."`
	RawBody []byte `contentType:"text/csv"`
}

type fillOutput struct {
	Body struct {
		Topic    string         `json:"topic" doc:"Whose counts were filled in."`
		Steps    int            `json:"steps" doc:"How many steps of 5 minutes."`
		Skipped  int            `json:"skipped" doc:"How many are left out: since the topic was declared, mentions are counted."`
		From     time.Time      `json:"from" doc:"When the first begins."`
		To       time.Time      `json:"to" doc:"When the last ends."`
		BadLines []countsBadRow `json:"bad_lines" doc:"The first lines that cannot be read. They are left out."`
		BadCount int            `json:"bad_count" doc:"How many there are."`
	}
}

type countsBadRow struct {
	Line  int    `json:"line" doc:"The line's number, from 1."`
	Error string `json:"error" doc:"What is wrong with it."`
}

func fillInCounts(ctx context.Context, in *fillInput) (*fillOutput, error) {
	t := tenantOf(ctx)
	done, err := t.takeLook()
	if err != nil {
		return nil, err
	}
	defer done()
	watched, err := findMonitor(ctx, in.Name)
	if err != nil {
		return nil, monitorError(ctx, in.Name, err)
	}
	location, err := time.LoadLocation(watched.TimeZone)
	if err != nil {
		return nil, apiError(ctx, fmt.Errorf("find the time zone of monitor %q: %w", in.Name, err))
	}
	history, err := monitor.ReadHistory(bytes.NewReader(in.RawBody), location)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("The file cannot be used: " + err.Error())
	}
	if history.Rows == 0 {
		return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("The file has no counts; %d lines cannot be read.", history.BadAll))
	}
	filled, err := t.db.BackfillCounts(ctx, in.Name, in.Topic, history)
	if err != nil {
		return nil, monitorError(ctx, in.Name, err)
	}
	out := &fillOutput{}
	out.Body.Topic, out.Body.Steps, out.Body.Skipped, out.Body.From, out.Body.To = filled.Topic, filled.Steps, filled.Skipped, filled.From, filled.To
	out.Body.BadCount, out.Body.BadLines = history.BadAll, make([]countsBadRow, len(history.Bad))
	for i, bad := range history.Bad {
		out.Body.BadLines[i] = countsBadRow(bad)
	}
	return out, nil
}
