package store

import (
	"time"

	"github.com/tertulia-crm/tertulia/internal/engagement"
)

// DefaultTrackingRetention is for how long it is kept who opened a message or followed a link, where nothing else is said.
const DefaultTrackingRetention = 365 * 24 * time.Hour

// Tracking is what a send's mails may bear. The zero value tracks nothing.
type Tracking struct {
	Opens  bool // a pixel
	Clicks bool // links that lead by way of the tenant's server
}

// Any tells whether anything is tracked.
func (t Tracking) Any() bool { return t.Opens || t.Clicks }

// Engagement is how many people did something with a message, or how often it was done.
type Engagement map[engagement.What]int64

// engagedSQL is an object of how many people did what with the mails of a send s.
const engagedSQL = `coalesce((select jsonb_object_agg(e.what, e.people)
				from (select what, sum(people) people from engagement_tally where send_id = s.id group by what) e), '{}')`
