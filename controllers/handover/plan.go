package handover

import (
	"maps"

	"github.com/tertulia-crm/tertulia/internal/credentials"
)

// planTenant is all that workers and servers are to know of a tenant: what its own controller says, and what its channels
// log in with. Of a channel that has not spoken since this operator began, what is present stays; of one that is no more,
// nothing does.
func planTenant(said credentials.Tenant, present map[string]credentials.Channel, spoken map[string]*credentials.Channel, channels []string) credentials.Tenant {
	said.Channels = map[string]credentials.Channel{}
	for _, name := range channels {
		login, known := spoken[name]
		before, had := present[name]
		switch {
		case known && login != nil:
			said.Channels[name] = *login
		case !known && had:
			said.Channels[name] = before
		}
	}
	return said
}

// planLogin is what the tenant's controller has said, with the logins that are present but for another one of one channel; nil
// is none.
func planLogin(said credentials.Tenant, present map[string]credentials.Channel, channel string, login *credentials.Channel) credentials.Tenant {
	said.Channels = maps.Clone(present)
	if login == nil {
		delete(said.Channels, channel)
	} else {
		said.Channels[channel] = *login
	}
	return said
}
