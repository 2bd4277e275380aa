package work

import (
	"context"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// hours are those in which the rows of a chunk may be handed over.
type hours struct {
	read    bool
	open    campaign.OpenHours
	zones   map[int64]string // of the rows' contacts, where they matter
	checked time.Time        // the minute for which the rows were looked at
}

// within puts those of the chunk's rows off that may not be written to at this moment, because of the campaign's hours or of quiet
// hours, and tells whether any is left. Where all hours are open it costs nothing.
func (r *chunkRun) within(drain context.Context) bool {
	h := &r.hours
	now := r.o.Now()
	if minute := now.Truncate(time.Minute); h.read && (h.open.Always() || minute.Equal(h.checked)) {
		return len(r.rows) > 0
	}
	ctx, cancel := health.Step(drain, r.o.StatementLimit)
	defer cancel()
	err := r.readHours(ctx)
	var closed []store.PendingRow
	var until []time.Time
	if err == nil && !h.open.Always() {
		r.rows, closed, until = planHours(h.open, r.rows, h.zones, now)
		h.checked = now.Truncate(time.Minute)
	}
	if err == nil && len(closed) > 0 {
		err = r.db.PutOffRows(ctx, r.lease, closed, until)
	}
	if err != nil {
		r.log.Info("cannot keep to the hours, and gives the chunk back", "error", store.Brief(err).Error())
		return false
	}
	return len(r.rows) > 0
}

// readHours reads the hours of the send and of the policies once for a chunk.
func (r *chunkRun) readHours(ctx context.Context) (err error) {
	h := &r.hours
	if h.read {
		return nil
	}
	home := crm.ZoneOrUTC(r.job.Tenant.TimeZone)
	if h.open, err = campaign.CompileHours(hoursOf(r.job.SendJob), home); err != nil {
		return err
	}
	if h.open.ByRecipient() {
		if h.zones, err = r.db.ZonesOfRows(ctx, r.lease.SendID, r.rows); err != nil {
			return err
		}
	}
	h.read = true
	return nil
}

// hoursOf are the hours that a send must keep to: its own, and those that policies say to keep quiet in, by the clock of each
// recipient.
func hoursOf(j store.SendJob) []campaign.Hours {
	var list []campaign.Hours
	if j.Timing.Hours != nil {
		list = append(list, *j.Timing.Hours)
	}
	if len(j.Terms.Quiet) > 0 {
		list = append(list, campaign.Hours{Closed: j.Terms.Quiet})
	}
	return list
}

// planHours parts rows into those that may be written to now and the others, with when each of these may be.
func planHours(open campaign.OpenHours, rows []store.PendingRow, zones map[int64]string, now time.Time) (due, later []store.PendingRow, until []time.Time) {
	next := map[string]time.Time{} // by zone: a chunk has few
	for _, row := range rows {
		zone := zones[row.Seq]
		at, known := next[zone]
		if !known {
			at = open.Next(zone, now)
			next[zone] = at
		}
		if at.After(now) {
			later, until = append(later, row), append(until, at)
		} else {
			due = append(due, row)
		}
	}
	return due, later, until
}
