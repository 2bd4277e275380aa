package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

type diagnosisOutput struct {
	Body diagnosisBody
}

type diagnosisBody struct {
	Server        string            `json:"server" doc:"The version of the process that answers."`
	PostgreSQL    string            `json:"postgresql" doc:"The version of PostgreSQL."`
	SchemaVersion int64             `json:"schema_version" doc:"The newest migration that the database has."`
	Bytes         int64             `json:"bytes" doc:"The size of the database on disk."`
	InRecovery    bool              `json:"in_recovery" doc:"Whether it is a standby, which takes no writes."`
	ReadOnly      bool              `json:"read_only" doc:"Whether new transactions may not write."`
	Settings      map[string]string `json:"settings" doc:"Parameters of PostgreSQL that explain how it behaves."`
	Tables        []diagnosisTable  `json:"tables" doc:"By name."`
	Connections   map[string]int64  `json:"connections" doc:"To this database, by the application's name."`
	Sends         map[string]int64  `json:"sends" doc:"Sends in force, by their state."`
	OpenChunks    int64             `json:"open_chunks" doc:"Pieces of frozen audiences that workers still have to settle."`
	Processes     []diagnosisAlive  `json:"processes" doc:"Workers and servers that have said that they are there."`
}

type diagnosisTable struct {
	Name         string     `json:"name" doc:"The table."`
	Rows         int64      `json:"rows" doc:"PostgreSQL's estimate, 0 before the first one."`
	Dead         int64      `json:"dead" doc:"Rows that wait to be vacuumed."`
	Bytes        int64      `json:"bytes" doc:"With indexes."`
	Partitions   int64      `json:"partitions" doc:"How many partitions it has."`
	LastVacuumed *time.Time `json:"last_vacuumed,omitempty" doc:"Of the partition that has waited longest; absent where one never was."`
	LastAnalyzed *time.Time `json:"last_analyzed,omitempty" doc:"Of the partition that has waited longest; absent where one never was."`
}

type diagnosisAlive struct {
	ID      string  `json:"id" doc:"Of one start of one process."`
	Kind    string  `json:"kind" enum:"worker,server" doc:"What it does."`
	Version string  `json:"version" doc:"Of the program."`
	Digest  string  `json:"digest" doc:"Of the credentials that it uses."`
	Uptime  float64 `json:"uptime_seconds" doc:"Since it began."`
	Silent  float64 `json:"silent_seconds" doc:"Since it last said that it is there."`
}

// registerDiagnosis adds what support is told of a database: facts about it, and no row of people.
func (s *Server) registerDiagnosis(api huma.API, version string) {
	register(api, huma.Operation{
		OperationID: "diagnose", Method: http.MethodGet, Path: "/v1/diagnosis", Tags: []string{"Operation"},
		Summary: "Describe the tenant's database without its people", Security: requires(scopeAdmin),
	}, func(ctx context.Context, _ *struct{}) (*diagnosisOutput, error) {
		return diagnose(ctx, version)
	})
}

func diagnose(ctx context.Context, version string) (*diagnosisOutput, error) {
	d, err := tenantOf(ctx).db.Diagnose(ctx)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	out := &diagnosisOutput{Body: diagnosisBody{
		Server: version, PostgreSQL: d.PostgreSQL, SchemaVersion: d.SchemaVersion, Bytes: d.Bytes, InRecovery: d.InRecovery, ReadOnly: d.ReadOnly,
		Settings: d.Settings, Connections: d.Connections, Sends: d.Sends, OpenChunks: d.OpenChunks,
		Tables: []diagnosisTable{}, Processes: []diagnosisAlive{},
	}}
	for _, t := range d.Tables {
		out.Body.Tables = append(out.Body.Tables, diagnosisTable(t))
	}
	for _, p := range d.Processes {
		out.Body.Processes = append(out.Body.Processes, diagnosisAlive{
			ID: p.ID, Kind: string(p.Kind), Version: p.Version, Digest: p.Digest, Uptime: p.Uptime.Seconds(), Silent: p.Silent.Seconds(),
		})
	}
	return out, nil
}
