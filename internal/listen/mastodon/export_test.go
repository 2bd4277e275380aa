package mastodon

import "time"

// Hasten makes a stream do things as soon as tests want.
func (c *Connector) Hasten(soon, sweep, ping, handshake time.Duration) {
	c.rhythm = rhythm{flush: 20 * time.Millisecond, soon: soon, sweep: sweep, ping: ping, handshake: handshake}
}
