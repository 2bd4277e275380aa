package campaign

// Counts tell what became of a send's messages: Planned is the sum of the others. They are messages, but for those who were
// left out.
type Counts struct {
	Planned   int64 `json:"planned" doc:"Recipients of the frozen audience, those left out included."`
	Sent      int64 `json:"sent" doc:"Messages that were accepted."`
	Failed    int64 `json:"failed" doc:"Messages that were refused for good."`
	Ambiguous int64 `json:"ambiguous" doc:"Messages handed over without a known outcome."`
	Skipped   int64 `json:"skipped" doc:"Recipients that were left out."`
	Pending   int64 `json:"pending" doc:"Messages that have no outcome yet."` // intents included
}
