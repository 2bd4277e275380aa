package deliver

import "sync/atomic"

// Claim decides who has a message: the transport that is about to offer it, or the sender who gave it to the transport and takes it
// back. The zero value is nobody's. A message without a claim is the transport's.
type Claim struct{ holder atomic.Int32 }

// Who has a message.
const (
	nobody int32 = iota
	transport
	sender
)

// Take takes the message for the transport, which then offers it. It is false where the sender has taken it back.
func (c *Claim) Take() bool { return c == nil || c.holder.CompareAndSwap(nobody, transport) }

// Return gives up a message that the transport took and of which nothing was offered.
func (c *Claim) Return() {
	if c != nil {
		c.holder.Store(nobody)
	}
}

// Withdraw takes the message back for the sender: it is offered to nobody then. It is false where the transport has it.
func (c *Claim) Withdraw() bool { return c.holder.CompareAndSwap(nobody, sender) }

// Withdrawn tells whether the sender has taken the message back.
func (c *Claim) Withdrawn() bool { return c.holder.Load() == sender }
