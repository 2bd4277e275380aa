package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
)

// Stop is why publishing ends before everything is there.
type Stop struct {
	deliver.Result
	Trouble error // of the channel as a whole; nil where it is this post's
}

// End is what is known then.
func (s *Stop) End(posted []post.Reference) (post.Result, error) {
	return post.Result{Result: s.Result, Posted: posted}, s.Trouble
}

// Err is the stop as an error, for who asks and publishes nothing.
func (s *Stop) Err() error {
	if s.Trouble != nil {
		return s.Trouble
	}
	return errors.New(s.Reply)
}

// Refused stops for good.
func Refused(format string, args ...any) *Stop {
	return &Stop{Result: deliver.Result{Outcome: deliver.Refused, Reply: cut(fmt.Sprintf(format, args...))}}
}

// Deferred stops for now.
func Deferred(wait time.Duration, format string, args ...any) *Stop {
	return &Stop{Result: deliver.Result{Outcome: deliver.Deferred, Reply: cut(fmt.Sprintf(format, args...)), RetryIn: wait}}
}

// Unknown stops where only a look-up tells.
func Unknown(wait time.Duration, format string, args ...any) *Stop {
	return &Stop{Result: deliver.Result{Outcome: deliver.Unknown, Reply: cut(fmt.Sprintf(format, args...)), RetryIn: wait}}
}

// Troubled stops because of the channel.
func Troubled(trouble error) *Stop { return &Stop{Trouble: trouble} }

func cut(text string) string {
	words := []rune(text)
	return string(words[:min(len(words), maxReply)])
}

// Rest stops before a request that the server said not to take yet; nil where it takes it.
func (c *Client) Rest(path string) *Stop {
	if wait := c.Resting(path); wait > 0 {
		return Deferred(wait, "the server takes no more for a while, as it said before")
	}
	return nil
}

// Halt judges a request that has published nothing whatever became of it: a question, or what is uploaded before a post. It is nil for a whole
// answer of 2xx. Of 401 and 403 the caller knows more.
func (c *Client) Halt(stage string, a *Answer, err error) *Stop {
	switch {
	case err != nil:
		return Troubled(c.Unreachable(stage, err))
	case a.Status/100 == 2 && a.Cut == nil:
		return nil
	case a.Status/100 == 2:
		return Deferred(0, "the answer of the server cannot be read: %v", a.Cut)
	case a.Status/100 == 3:
		return Troubled(c.Moved(stage, a))
	case a.Status == http.StatusTooManyRequests, a.Status >= 500, a.Status == http.StatusRequestTimeout:
		s := Deferred(a.Wait(c.Now()), "%s", Words(a.Status, "the server failed to answer, or is asked too often"))
		s.Code = a.Status
		return s
	}
	s := Refused("%s", Words(a.Status, "the server refuses"))
	s.Code = a.Status
	return s
}

// Lost judges a request that may have published and was not answered. It is nil where it was.
func (c *Client) Lost(stage string, err error) *Stop {
	var failure *Failure
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &failure):
		return Troubled(err)
	case failure.Whole && errors.Is(failure.Err, context.DeadlineExceeded):
		return Unknown(0, "the server took the post and did not answer in time")
	case failure.Whole:
		return Unknown(0, "the server took the post and did not answer")
	}
	return Troubled(c.Unreachable(stage, err))
}
