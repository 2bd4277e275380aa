package crm

import (
	"fmt"
	"sync"
	"time"
	_ "time/tzdata" // zones are known on machines that have no zone files
)

// zones holds the zones that were asked for: reading one anew for each of a million recipients would take longer than
// writing to them. There are about six hundred, and names that are none are not kept.
var zones sync.Map // string → *time.Location

// ParseZone reads the name of an IANA zone. Its error names the mend.
func ParseZone(name string) (*time.Location, error) {
	if known, ok := zones.Load(name); ok {
		return known.(*time.Location), nil
	}
	// "" and Local are places of this machine to Go, and no zones to an author.
	if name == "" || name == "Local" {
		return nil, zoneError(name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, zoneError(name)
	}
	zones.Store(name, zone)
	return zone, nil
}

// ZoneOrUTC is the zone of a name that was accepted before: UTC where this machine does not know it any more.
func ZoneOrUTC(name string) *time.Location {
	zone, err := ParseZone(name)
	if err != nil {
		return time.UTC
	}
	return zone
}

func zoneError(name string) error {
	return fmt.Errorf("time zone %q is unknown: name an IANA zone, such as Europe/Madrid", name)
}
