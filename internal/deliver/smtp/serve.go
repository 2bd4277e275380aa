package smtp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/tertulia-crm/tertulia/internal/deliver"
)

// transaction is the handing over of one message.
type transaction struct {
	index   int
	message deliver.Message
	first   bool // nothing was handed over by this connection before: what fails at MAIL is the channel's trouble
	reset   bool // RSET goes before
	sized   bool // MAIL told the size
}

// sequel is what follows the answers to a transaction's commands.
type sequel int

const (
	nothing sequel = iota // DATA was not accepted
	content               // the message and the final dot
	loneDot               // the recipient was refused and DATA accepted all the same (RFC 2920, section 3.1)
	ended                 // the connection is not to be used any more
)

// serve hands messages over until none is left, ctx ends, the connection has served enough, or it ends. The error is
// the channel's trouble; without one the lane may go on by another connection.
func (c *conn) serve(ctx context.Context, b *batch) error {
	current, err := c.begin(ctx, b)
	if current == nil || err != nil {
		return err
	}
	if c.offers.pipelining {
		if _, err := c.flush(); err != nil {
			return c.unanswered(b, current, err)
		}
	}
	for current != nil {
		next, err := c.commands(b, current)
		if err != nil || next == ended {
			return err
		}
		if current, err = c.finish(ctx, b, current, next); err != nil {
			return err
		}
	}
	return nil
}

// begin takes the next message that this relay can take and queues its commands: RSET where needed, MAIL, RCPT and
// DATA. Without pipelining they are queued one by one as answers arrive. It returns nil where there is none to begin.
func (c *conn) begin(ctx context.Context, b *batch) (*transaction, error) {
	for !c.broken && c.served < c.t.o.MaxMessages {
		i, ok := b.take(ctx)
		if !ok {
			return nil, nil
		}
		t := &transaction{index: i, message: b.messages[i], first: c.served == 0, reset: c.dirty, sized: c.offers.sizes}
		if why := flaw(t.message.From); why != "" {
			b.putBack(i)
			return nil, &deliver.Trouble{Server: c.t.address, Stage: stageMail, Reason: "the envelope sender cannot be used: " + why}
		}
		if refusal, ok := c.impossible(t.message); ok {
			b.results[i] = refusal
			continue
		}
		c.served++
		c.dirty = false
		if c.offers.pipelining {
			if t.reset {
				c.queue("RSET")
			}
			c.queueMail(t)
			c.queue("RCPT TO:<", t.message.To, ">")
			c.queue("DATA")
		}
		return t, nil
	}
	return nil, nil
}

// impossible refuses what this relay said it does not take, before it is asked.
func (c *conn) impossible(m deliver.Message) (deliver.Result, bool) {
	refused := func(code int, words string) (deliver.Result, bool) {
		return deliver.Result{Outcome: deliver.Refused, Code: code, Reply: words}, true
	}
	switch {
	case c.offers.size > 0 && int64(len(m.Data)) > c.offers.size:
		return refused(552, fmt.Sprintf("5.3.4 the message has %d bytes; the relay takes %d", len(m.Data), c.offers.size))
	case !c.offers.utf8 && !isASCII(m.To):
		return refused(553, "5.6.7 the address needs SMTPUTF8 (RFC 6531), which the relay does not offer")
	case !c.offers.eightBit && !isASCII(m.Data):
		return refused(554, "5.6.1 the message needs 8BITMIME (RFC 6152), which the relay does not offer")
	}
	return deliver.Result{}, false
}

func (c *conn) queueMail(t *transaction) {
	var size, body, utf8 string
	if t.sized {
		size = " SIZE=" + strconv.Itoa(len(t.message.Data))
	}
	if c.offers.eightBit && !isASCII(t.message.Data) {
		body = " BODY=8BITMIME"
	}
	if c.offers.utf8 && (!isASCII(t.message.To) || !isASCII(t.message.From)) {
		utf8 = " SMTPUTF8"
	}
	c.queue("MAIL FROM:<", t.message.From, ">", size, body, utf8)
}

// say writes a command now, unless it left with its group.
func (c *conn) say(parts ...string) error {
	if c.offers.pipelining {
		return nil
	}
	c.queue(parts...)
	_, err := c.flush()
	return err
}

// commands reads the answers to a transaction's commands, records the outcome where they settle it, and tells what
// follows.
func (c *conn) commands(b *batch, t *transaction) (sequel, error) {
	limits := c.t.o.Timeouts
	if t.reset {
		err := c.say("RSET")
		var r reply
		if err == nil {
			r, err = c.read(limits.Command)
		}
		if err == nil && !r.positive() {
			err = fmt.Errorf("%w: RSET answered with %d", errReply, r.code)
		}
		if err != nil {
			return ended, c.unanswered(b, t, err)
		}
	}
	var err error
	if !c.offers.pipelining {
		c.queueMail(t)
		_, err = c.flush()
	}
	var mail reply
	if err == nil {
		mail, err = c.read(limits.Command)
	}
	if err != nil {
		return ended, c.unanswered(b, t, err)
	}
	if !mail.positive() {
		return c.mailRefused(b, t, mail)
	}
	return c.recipient(b, t)
}

// recipient reads the answers to RCPT and DATA.
func (c *conn) recipient(b *batch, t *transaction) (sequel, error) {
	c.dirty = true
	err := c.say("RCPT TO:<", t.message.To, ">")
	var rcpt reply
	if err == nil {
		rcpt, err = c.read(c.t.o.Timeouts.Command)
	}
	switch {
	case err != nil || rcpt.code/100 == 3:
		return c.lost(b, t, stageRcpt, err)
	case rcpt.positive():
		return c.data(b, t)
	}
	b.results[t.index] = outcome(rcpt)
	if !c.offers.pipelining || c.broken {
		return c.then(nothing), nil
	}
	data, err := c.read(c.t.o.Timeouts.Data)
	if err == nil && data.code == 354 {
		return loneDot, nil
	}
	return c.then(nothing), nil
}

// data reads the answer to DATA after a recipient that was accepted.
func (c *conn) data(b *batch, t *transaction) (sequel, error) {
	err := c.say("DATA")
	var r reply
	if err == nil {
		r, err = c.read(c.t.o.Timeouts.Data)
	}
	switch {
	case err == nil && r.code == 354:
		return content, nil
	case err == nil && (r.transient() || r.permanent()):
		b.results[t.index] = outcome(r)
		return c.then(nothing), nil
	}
	return c.lost(b, t, stageData, err)
}

// then is the sequel, or ended where the connection is not to be used any more.
func (c *conn) then(s sequel) sequel {
	if c.broken {
		return ended
	}
	return s
}

// finish sends what follows the commands of a transaction together with the commands of the next one, records the
// outcome, and returns the next transaction.
func (c *conn) finish(ctx context.Context, b *batch, t *transaction, what sequel) (*transaction, error) {
	if what == content && c.gone() {
		_, err := c.lost(b, t, stageData, errGone)
		return nil, err
	}
	if what == content {
		c.out = appendStuffed(c.out, t.message.Data)
	}
	dot := len(c.out)
	if what != nothing {
		c.queue(".")
		c.dirty = false
	}
	next, trouble := c.ahead(ctx, b)
	written, err := c.flush()
	switch {
	case err != nil && what == content && written <= dot:
		_, err = c.lost(b, t, "the message", err)
	case err != nil && what == content:
		b.results[t.index] = deliver.Result{Outcome: deliver.Unknown}
		err = c.silent(err)
	case err != nil:
		err = nil // nothing was at stake but the next one's commands
	case what != nothing:
		err = c.dotAnswer(b, t, what)
	}
	if c.broken {
		return nil, cmp.Or(err, trouble, c.unanswered(b, next, nil))
	}
	if !c.offers.pipelining {
		return c.begin(ctx, b)
	}
	return next, trouble
}

// ahead begins the next transaction in the same write as the end of this one, where the relay allows it.
func (c *conn) ahead(ctx context.Context, b *batch) (*transaction, error) {
	if !c.offers.pipelining {
		return nil, nil
	}
	return c.begin(ctx, b)
}

// dotAnswer reads the answer to the final dot.
func (c *conn) dotAnswer(b *batch, t *transaction, what sequel) error {
	r, err := c.read(c.t.o.Timeouts.Dot)
	if what == loneDot {
		return nil // its recipient was refused; an answer that does not come is noticed by whoever reads next
	}
	if err != nil {
		b.results[t.index] = deliver.Result{Outcome: deliver.Unknown}
		return c.silent(err)
	}
	result := outcome(r)
	if r.code/100 == 3 { // it may mean anything
		c.broken = true
		result.Outcome = deliver.Unknown
		b.results[t.index] = result
		return c.trouble(stageDot, r, nil, "the relay gives an answer that has no meaning", false)
	}
	b.results[t.index] = result
	return nil
}

// outcome reads an answer to RCPT, DATA or the final dot.
func outcome(r reply) deliver.Result {
	result := deliver.Result{Outcome: deliver.Deferred, Code: r.code, Reply: r.text}
	switch {
	case r.positive():
		result.Outcome = deliver.Accepted
	case r.permanent():
		result.Outcome = deliver.Refused
	}
	return result
}

// mailRefused settles a refusal at MAIL: it is the channel's, but for a size that is too large for ever (RFC 1870,
// section 6.1), which is this message's, and for a 421 by which a relay that has served ends the connection.
func (c *conn) mailRefused(b *batch, t *transaction, r reply) (sequel, error) {
	c.broken = true
	switch {
	case r.code == 552 && t.sized:
		b.results[t.index] = outcome(r)
		return ended, nil
	case r.closing() && !t.first:
		return ended, c.unanswered(b, t, nil)
	}
	b.putBack(t.index)
	return ended, c.trouble(stageMail, r, nil, "the relay refuses the sender or takes no mail now", false)
}

var errGone = errors.New("the relay closed the connection")

// lost settles a message whose connection ended, or stopped making sense, after MAIL was accepted and before the final
// dot was begun. A relay that let the time pass is in trouble: the lane ends rather than wait for every message.
func (c *conn) lost(b *batch, t *transaction, at string, err error) (sequel, error) {
	c.broken = true
	b.results[t.index] = deliver.Result{Outcome: deliver.Deferred, Reply: "the connection ended at " + at}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.results[t.index].Reply = "the relay did not answer in time at " + at
		return ended, c.trouble(at, reply{}, err, "the relay does not answer", false)
	}
	return ended, nil
}

// unanswered returns a message whose MAIL was not answered, so that another connection tries it. A relay that goes
// away from a connection it has served is nothing unusual; one that does so at once, again and again, or that says
// nothing, is in trouble. t may be nil.
func (c *conn) unanswered(b *batch, t *transaction, err error) error {
	c.broken = true
	if t == nil {
		return nil
	}
	again := b.putBack(t.index)
	if err == nil {
		err = errGone
	}
	if again && !t.first && !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return c.trouble(stageMail, reply{}, err, "the relay does not answer", false)
}

// silent is the trouble of a relay that took the final dot and did not answer. The lane ends: by going on it would make
// one message after the other Unknown.
func (c *conn) silent(err error) error {
	c.broken = true
	return c.trouble(stageDot, reply{}, err, "the relay took a message and did not answer", false)
}
