package metrics

import "github.com/prometheus/client_golang/prometheus"

// Returned declares the count of what comes back of messages. Workers read mailboxes, servers hear providers.
func (s *Set) Returned() *prometheus.CounterVec {
	return s.Counter("tertulia_returned_total",
		"What came back of messages, into a channel's mailbox (workers) or from its provider (servers), by kind: `Bounce`, `Delay`, `Delivery`, "+
			"`Complaint`, `AutoReply`, `Reply`.", "tenant", "channel", "kind")
}
