package handover

import (
	"maps"
	"slices"

	"github.com/tertulia-crm/tertulia/internal/credentials"
)

// spoken is what channels and sources have said, by their names. Nothing is nil.
type spoken struct {
	channels map[string]*credentials.Channel
	sources  map[string]credentials.Source
}

func newSpoken() spoken {
	return spoken{channels: map[string]*credentials.Channel{}, sources: map[string]credentials.Source{}}
}

// named are the names of channels and of sources.
type named struct{ channels, sources []string }

// keep forgets what those have said that are no more.
func (s spoken) keep(alive named) {
	maps.DeleteFunc(s.channels, func(name string, _ *credentials.Channel) bool { return !slices.Contains(alive.channels, name) })
	maps.DeleteFunc(s.sources, func(name string, _ credentials.Source) bool { return !slices.Contains(alive.sources, name) })
}

// planTenant is all that workers and servers are to know of a tenant: what its own controller says, and what its channels and
// sources log in with. Of one that has not spoken since this operator began, what is present stays; of one that is no more,
// nothing does.
func planTenant(said, present credentials.Tenant, heard spoken, alive named) credentials.Tenant {
	said.Channels, said.Sources = map[string]credentials.Channel{}, nil
	for _, name := range alive.channels {
		login, known := heard.channels[name]
		before, had := present.Channels[name]
		switch {
		case known && login != nil:
			said.Channels[name] = *login
		case !known && had:
			said.Channels[name] = before
		}
	}
	for _, name := range alive.sources {
		login, known := heard.sources[name]
		if !known {
			login = present.Sources[name]
		}
		if len(login) == 0 {
			continue
		}
		if said.Sources == nil {
			said.Sources = map[string]credentials.Source{}
		}
		said.Sources[name] = login
	}
	return said
}

// planLogin is what the tenant's controller has said, with the logins that are present but for another one of one channel; nil
// is none.
func planLogin(said, present credentials.Tenant, channel string, login *credentials.Channel) credentials.Tenant {
	said.Channels, said.Sources = maps.Clone(present.Channels), present.Sources
	if login == nil {
		delete(said.Channels, channel)
	} else {
		said.Channels[channel] = *login
	}
	return said
}

// planSource is what the tenant's controller has said, with the logins that are present but for another one of one source; nil is
// none.
func planSource(said, present credentials.Tenant, source string, login credentials.Source) credentials.Tenant {
	said.Channels, said.Sources = present.Channels, maps.Clone(present.Sources)
	if len(login) == 0 {
		delete(said.Sources, source)
		return said
	}
	if said.Sources == nil {
		said.Sources = map[string]credentials.Source{}
	}
	said.Sources[source] = login
	return said
}
