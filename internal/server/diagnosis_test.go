package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestDiagnosisDescribesTheDatabaseWithoutItsPeople: with the rights of the role that servers have.
func TestDiagnosisDescribesTheDatabaseWithoutItsPeople(t *testing.T) {
	f := newFixture(t)
	added := f.request(http.MethodPost, "/v1/contacts:batch",
		`{"source": "shop", "contacts": [{"external_id": "4711", "email": "ana@people.example", "attributes": {"first_name": "Anastasia"}}]}`)
	if added.status != http.StatusOK {
		t.Fatalf("status %d: %s", added.status, added.body)
	}
	if _, err := f.db.Pool.Exec(t.Context(), "analyze contact"); err != nil {
		t.Fatal(err)
	}
	got := f.request(http.MethodGet, "/v1/diagnosis", "")
	if got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	var d struct {
		PostgreSQL    string `json:"postgresql"`
		SchemaVersion int64  `json:"schema_version"`
		Bytes         int64
		Settings      map[string]string
		Connections   map[string]int64
		Tables        []struct {
			Name       string
			Rows       int64
			Partitions int64
		}
	}
	if err := json.Unmarshal([]byte(got.body), &d); err != nil {
		t.Fatal(err)
	}
	if d.PostgreSQL == "" || d.SchemaVersion == 0 || d.Bytes == 0 || d.Settings["max_connections"] == "" || len(d.Connections) == 0 {
		t.Errorf("the diagnosis lacks what was asked for: %s", got.body)
	}
	rows, partitions := map[string]int64{}, map[string]int64{}
	for _, table := range d.Tables {
		rows[table.Name], partitions[table.Name] = table.Rows, table.Partitions
	}
	if rows["contact"] != 1 || partitions["ledger"] != 16 {
		t.Errorf("%d contacts and %d partitions of the ledger, want 1 and 16", rows["contact"], partitions["ledger"])
	}
	for _, person := range []string{"ana@", "people.example", "Anastasia", "4711"} {
		if strings.Contains(got.body, person) {
			t.Errorf("the diagnosis holds %q: %s", person, got.body)
		}
	}
}
