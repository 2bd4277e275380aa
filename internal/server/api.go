package server

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tertulia-crm/tertulia/internal/server/intake"
)

// The bounds of a batch.
const (
	maxBatch     = 1000
	maxBatchBody = 8 << 20
	maxBody      = 64 << 10 // of other operations
)

// registerAPI adds the described operations and their description, GET /openapi.json.
func (s *Server) registerAPI(mux *http.ServeMux, version string) {
	if version == "" {
		version = "unknown"
	}
	config := huma.DefaultConfig("Tertulia", version)
	config.Info.Description = "People and events of one tenant. Every address is relative to the tenant's public URL. " +
		"Errors are problems (RFC 9457); 503 means that the same request may succeed later and can be repeated safely."
	// We serve one description for all tenants: a relative server URL is resolved against where it was read.
	config.Servers = []*huma.Server{{URL: ".", Description: "The tenant's public URL"}}
	config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", "", nil
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		bearer: {Type: "http", Scheme: "bearer", Description: "A token made by `tertulia token create`."},
	}
	api := humago.New(mux, config)
	api.UseMiddleware(authorizeOperation)
	s.registerContacts(api)
	s.registerContactSample(api)
	s.registerContactIdentity(api)
	s.registerSuggestions(api)
	s.registerAccounts(api)
	s.registerEvents(api)
	s.registerSubscriptions(api)
	s.registerSuppressions(api)
	s.registerPreviews(api)
	s.registerTokens(api)
	s.registerQuarantine(api)
	s.registerCampaigns(api)
	s.registerCalendar(api)
	s.registerSegments(api)
	s.registerSources(api)
	s.registerMentions(api)
	s.registerMonitors(api)
	s.registerRules(api)
	s.registerConversations(api)
	s.registerTickets(api)
	s.registerQueues(api)
	s.registerInfluence(api)
	s.registerSentiment(api)
	s.registerDiagnosis(api, version)
	describeImports(api.OpenAPI())
	describeCalendar(api.OpenAPI())
	s.filters = describeStream(api.OpenAPI())
	description, err := json.Marshal(api.OpenAPI())
	if err != nil {
		panic("describe the API: " + err.Error()) // decided when the program was compiled
	}
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(description)
	})
}

// describeImports adds the imports to the description. They stream both ways at once, which the API's library does not do.
func describeImports(api *huma.OpenAPI) {
	line := api.Components.Schemas.Schema(reflect.TypeFor[importLine](), true, "ImportLine")
	for what, of := range map[string]string{"contacts": "Contacts", "accounts": "Accounts"} {
		api.AddOperation(&huma.Operation{
			OperationID: "import-" + what, Method: http.MethodPost, Path: "/v1/imports/" + what, Tags: []string{of},
			Summary: "Import " + what + " from CSV",
			Description: "Reads a CSV file of any length and answers while it reads, one JSON object a line: progress, rejected rows, " +
				"and at the end the result or an error. " +
				"What has been committed stays; the import may be repeated and then changes nothing.",
			Security: requires(scopeImportsWrite, scopeContactsWrite),
			Parameters: []*huma.Param{{
				Name: "source", In: "query", Required: true, Schema: &huma.Schema{Type: "string"}, Description: "Whose ids external_id holds, such as shop.",
			}},
			RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"text/csv": {Schema: &huma.Schema{Type: "string"}}}},
			Responses:   importResponses(line, api.Components.Schemas.Schema(reflect.TypeFor[huma.ErrorModel](), true, "")),
		})
	}
}

// importResponses are the answers of an import. Once its 200 has begun, what goes wrong is its last line.
func importResponses(line, problem *huma.Schema) map[string]*huma.Response {
	responses := map[string]*huma.Response{"200": {
		Description: "Lines of JSON", Content: map[string]*huma.MediaType{"application/x-ndjson": {Schema: line}},
	}}
	for status, description := range map[int]string{
		http.StatusBadRequest:           "The file broke off within its header.",
		http.StatusUnauthorized:         "The token is missing, unknown, expired or revoked.",
		http.StatusForbidden:            "The token lacks the scope.",
		http.StatusUnsupportedMediaType: "The file is no text in CSV, or in another encoding than UTF-8.",
		http.StatusUnprocessableEntity:  "The source or the file's header cannot be used: errors says why, column by column. Nothing was imported.",
		http.StatusTooManyRequests:      "Too many imports of the tenant run at a time: try again when one has ended.",
		http.StatusServiceUnavailable:   "The tenant's database cannot be reached. Nothing was imported: try again later.",
	} {
		responses[strconv.Itoa(status)] = &huma.Response{
			Description: description, Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
		}
	}
	return responses
}

// itemResult tells what became of one item of a batch.
type itemResult struct {
	Index  int    `json:"index" doc:"The item's place in the request, from 0."`
	Status string `json:"status" enum:"created,updated,unchanged,accepted,duplicate,rejected" doc:"What became of it."`
	ID     string `json:"id,omitempty" doc:"The contact's public id."`
	Error  string `json:"error,omitempty" doc:"Why the item was rejected, and how to mend it."`
}

func register[I, O any](api huma.API, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = maxBody
	}
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable)
	huma.Register(api, op, handler)
}

var _ huma.SchemaProvider = intake.Value{}
