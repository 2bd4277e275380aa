package campaign

// Verb is what a person decides about the sends of a campaign, beside what its manifest says.
type Verb string

// The verbs.
const (
	// Pause: nothing is handed over until somebody resumes, or until a moment.
	Pause Verb = "pause"
	// Resume ends the pause.
	Resume Verb = "resume"
	// Abort ends the campaign: what is pending is skipped, and nothing begins any more.
	Abort Verb = "abort"
	// ResendAmbiguous has messages sent again of which nobody knows whether they arrived.
	ResendAmbiguous Verb = "resend-ambiguous"
)
