package smtp

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/tertulia-crm/tertulia/internal/deliver"
)

// transaction is the handing over of one message.
type transaction struct {
	batch   *batch
	index   int
	message *deliver.Message
	eight   bool // it is not ASCII alone
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

// serve hands messages over until none is left, their time is over, the connection has served enough, or it ends. The error is
// the channel's trouble; without one the lane may go on by another connection. Where a batch has none left and another one
// waits, it goes on with that, so that the relay need not wait: it returns the batch that it ended with, which the lane has.
func (c *conn) serve(b *batch) (*batch, error) {
	current, b, err := c.begin(b)
	c.leave()
	if current == nil || err != nil {
		return b, err
	}
	if c.offers.pipelining {
		if _, err := c.flush(); err != nil {
			return b, c.unanswered(current, err)
		}
	}
	for current != nil {
		var what sequel
		last := current
		if what, err = c.commands(current); err == nil && what != ended {
			current, b, err = c.finish(b, current, what)
		}
		if err != nil {
			last.batch.Fail(err)
		}
		c.leave()
		if err != nil || what == ended {
			break
		}
	}
	return b, err
}

// leave lets go of the batch that this connection went on from, of which nothing is under way any more.
func (c *conn) leave() {
	if c.leaving != nil {
		c.leaving.done()
		c.leaving = nil
	}
}

// begin takes the next message that this relay can take and queues its commands: RSET where needed, MAIL, RCPT and
// DATA. Without pipelining they are queued one by one as answers arrive. It returns nil where there is none to begin, and the
// batch that the lane has from then on.
func (c *conn) begin(b *batch) (*transaction, *batch, error) {
	for !c.broken && c.served < c.t.o.MaxMessages {
		i, ok := b.Take()
		if !ok {
			next := c.t.waiting(b)
			if next == nil {
				return nil, b, nil
			}
			if c.leaving == nil {
				c.leaving = b
			} else {
				b.done()
			}
			b = next
			continue
		}
		t := &transaction{batch: b, index: i, message: &b.Messages[i], first: c.served == 0, reset: c.dirty, sized: c.offers.sizes}
		if why := deliver.AddressFlaw(t.message.From); why != "" {
			b.putBack(i)
			return nil, b, &deliver.Trouble{Server: c.t.address, Stage: stageMail, Reason: "the envelope sender cannot be used: " + why}
		}
		if refusal, ok := c.impossible(t); ok {
			b.Results[i] = refusal
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
		return t, b, nil
	}
	return nil, b, nil
}

// impossible refuses what this relay said it does not take, before it is asked.
func (c *conn) impossible(t *transaction) (deliver.Result, bool) {
	m := t.message
	t.eight = !isASCII(m.Data)
	refused := func(code int, words string) (deliver.Result, bool) {
		return deliver.Result{Outcome: deliver.Refused, Code: code, Reply: words}, true
	}
	switch {
	case c.offers.size > 0 && int64(len(m.Data)) > c.offers.size:
		return refused(552, fmt.Sprintf("5.3.4 the message has %d bytes; the relay takes %d", len(m.Data), c.offers.size))
	case !c.offers.utf8 && !isASCII(m.To):
		return refused(553, "5.6.7 the address needs SMTPUTF8 (RFC 6531), which the relay does not offer")
	case !c.offers.eightBit && t.eight:
		return refused(554, "5.6.1 the message needs 8BITMIME (RFC 6152), which the relay does not offer")
	}
	return deliver.Result{}, false
}

func (c *conn) queueMail(t *transaction) {
	var size, body, utf8 string
	if t.sized {
		size = " SIZE=" + strconv.Itoa(len(t.message.Data))
	}
	if c.offers.eightBit && t.eight {
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
func (c *conn) commands(t *transaction) (sequel, error) {
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
			return ended, c.unanswered(t, err)
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
		return ended, c.unanswered(t, err)
	}
	if !mail.positive() {
		return c.mailRefused(t, mail)
	}
	return c.recipient(t)
}

// recipient reads the answers to RCPT and DATA.
func (c *conn) recipient(t *transaction) (sequel, error) {
	c.dirty = true
	err := c.say("RCPT TO:<", t.message.To, ">")
	var rcpt reply
	if err == nil {
		rcpt, err = c.read(c.t.o.Timeouts.Command)
	}
	switch {
	case err != nil || rcpt.code/100 == 3:
		return c.lost(t, stageRcpt, err)
	case rcpt.positive():
		return c.data(t)
	}
	t.batch.Results[t.index] = outcome(rcpt)
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
func (c *conn) data(t *transaction) (sequel, error) {
	err := c.say("DATA")
	var r reply
	if err == nil {
		r, err = c.read(c.t.o.Timeouts.Data)
	}
	switch {
	case err == nil && r.code == 354:
		return content, nil
	case err == nil && (r.transient() || r.permanent()):
		t.batch.Results[t.index] = outcome(r)
		return c.then(nothing), nil
	}
	return c.lost(t, stageData, err)
}

// then is the sequel, or ended where the connection is not to be used any more.
func (c *conn) then(s sequel) sequel {
	if c.broken {
		return ended
	}
	return s
}

// finish sends what follows the commands of a transaction together with the commands of the next one, records the
// outcome, and returns the next transaction and the batch that the lane has.
func (c *conn) finish(b *batch, t *transaction, what sequel) (*transaction, *batch, error) {
	if what == content {
		if ok, err := c.mayOffer(t); !ok {
			return nil, b, err
		}
		c.out = appendStuffed(c.out, t.message.Data)
	}
	dot := len(c.out)
	if what != nothing {
		c.queue(".")
		c.dirty = false
	}
	next, b, trouble := c.ahead(b)
	written, err := c.flush()
	switch {
	case err != nil && what == content && written <= dot:
		_, err = c.lost(t, "the message", err)
	case err != nil && what == content:
		t.batch.Results[t.index] = deliver.Result{Outcome: deliver.Unknown}
		err = c.silent(err)
	case err != nil:
		err = nil // nothing was at stake but the next one's commands
	case what != nothing:
		err = c.dotAnswer(t, what)
	}
	if c.broken {
		return nil, b, cmp.Or(err, trouble, c.unanswered(next, nil))
	}
	if !c.offers.pipelining {
		return c.begin(b)
	}
	return next, b, trouble
}

// mayOffer tells whether the content of a message may leave now. The relay may be gone. Who is told to stop begins no content, and a
// message that was taken back is somebody else's: an open DATA has no other end than that of the connection.
func (c *conn) mayOffer(t *transaction) (bool, error) {
	if c.gone() {
		_, err := c.lost(t, stageData, errGone)
		return false, err
	}
	if t.batch.Context().Err() != nil || !t.message.Claim.Take() {
		c.broken = true
		return false, nil
	}
	return true, nil
}

// ahead begins the next transaction in the same write as the end of this one, where the relay allows it.
func (c *conn) ahead(b *batch) (*transaction, *batch, error) {
	if !c.offers.pipelining {
		return nil, b, nil
	}
	return c.begin(b)
}

// dotAnswer reads the answer to the final dot.
func (c *conn) dotAnswer(t *transaction, what sequel) error {
	r, err := c.read(c.t.o.Timeouts.Dot)
	if what == loneDot {
		return nil // its recipient was refused; an answer that does not come is noticed by whoever reads next
	}
	if err != nil {
		t.batch.Results[t.index] = deliver.Result{Outcome: deliver.Unknown}
		return c.silent(err)
	}
	result := outcome(r)
	if r.code/100 == 3 { // it may mean anything
		c.broken = true
		result.Outcome = deliver.Unknown
		t.batch.Results[t.index] = result
		return c.trouble(stageDot, r, nil, "the relay gives an answer that has no meaning", false)
	}
	t.batch.Results[t.index] = result
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
func (c *conn) mailRefused(t *transaction, r reply) (sequel, error) {
	c.broken = true
	switch {
	case r.code == 552 && t.sized:
		t.batch.Results[t.index] = outcome(r)
		return ended, nil
	case r.closing() && !t.first:
		return ended, c.unanswered(t, nil)
	}
	t.batch.putBack(t.index)
	return ended, c.trouble(stageMail, r, nil, "the relay refuses the sender or takes no mail now", false)
}

var errGone = errors.New("the relay closed the connection")

// lost settles a message whose connection ended, or stopped making sense, after MAIL was accepted and before the final
// dot was begun. A relay that let the time pass is in trouble: the lane ends rather than wait for every message.
func (c *conn) lost(t *transaction, at string, err error) (sequel, error) {
	c.broken = true
	t.batch.Results[t.index] = deliver.Result{Outcome: deliver.Deferred, Reply: "the connection ended at " + at}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.batch.Results[t.index].Reply = "the relay did not answer in time at " + at
		return ended, c.trouble(at, reply{}, err, "the relay does not answer", false)
	}
	return ended, nil
}

// unanswered returns a message whose MAIL was not answered, so that another connection tries it. A relay that goes
// away from a connection it has served is nothing unusual; one that does so at once, again and again, or that says
// nothing, is in trouble. t may be nil.
func (c *conn) unanswered(t *transaction, err error) error {
	c.broken = true
	if t == nil {
		return nil
	}
	again := t.batch.putBack(t.index)
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
