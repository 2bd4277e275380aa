package webhook

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tertulia-crm/tertulia/internal/deliver"
)

const (
	// maxWords is how many bytes of an answer's body are kept, and maxReply how many characters of it with its status.
	maxWords = 1 << 10
	maxReply = 200
)

// answer is what the endpoint said of a message.
type answer struct {
	status  int
	words   string
	retryIn time.Duration
}

// channelTrouble are the answers that concern the channel and no message, with the mend.
var channelTrouble = map[int]string{
	http.StatusUnauthorized:                  "the endpoint does not accept the signature: check that it has the key of the channel's Secret, and its clock",
	http.StatusForbidden:                     "the endpoint does not accept the signature: check that it has the key of the channel's Secret, and its clock",
	http.StatusNotFound:                      "there is no endpoint at this URL: correct it (an endpoint refuses a single message with 422)",
	http.StatusMethodNotAllowed:              "the endpoint takes no POST: check the URL",
	http.StatusProxyAuthRequired:             "a proxy before the endpoint wants a login: check the URL",
	http.StatusGone:                          "the endpoint is gone: correct the URL",
	http.StatusLengthRequired:                "the endpoint does not understand the request: check the URL",
	http.StatusUnsupportedMediaType:          "the endpoint takes no JSON: check the URL",
	http.StatusExpectationFailed:             "the endpoint does not understand the request: check the URL",
	http.StatusMisdirectedRequest:            "the endpoint serves another host: check the URL",
	http.StatusUpgradeRequired:               "the endpoint wants another protocol than HTTP/1.1",
	http.StatusRequestHeaderFieldsTooLarge:   "the endpoint takes no headers of this length: shorten the URL",
	http.StatusNotImplemented:                "the endpoint takes no POST: check the URL",
	http.StatusHTTPVersionNotSupported:       "the endpoint speaks no HTTP/1.1",
	http.StatusNetworkAuthenticationRequired: "the network wants a login before it lets anything out",
}

// judge tells what an answer means for a message, and for the channel.
func (c *conn) judge(a answer) (deliver.Result, error) {
	result := deliver.Result{Code: a.status, Reply: a.words}
	switch why, known := channelTrouble[a.status]; {
	case a.status/100 == 2:
		result.Outcome = deliver.Accepted
	case a.status == http.StatusRequestTimeout, a.status == http.StatusTooEarly, a.status == http.StatusTooManyRequests,
		a.status == http.StatusServiceUnavailable:
		result.Outcome, result.RetryIn = deliver.Deferred, a.retryIn
	case known:
		return deliver.Result{}, c.t.trouble(stagePost, a.status, nil, fmt.Sprintf("%s (%d)", why, a.status))
	case a.status/100 == 3:
		return deliver.Result{}, c.t.trouble(stagePost, a.status, nil,
			fmt.Sprintf("the endpoint redirects, which is not followed: write the URL that it redirects to (%d)", a.status))
	case a.status/100 == 4:
		result.Outcome = deliver.Refused
	default:
		c.broken = true
		result.Outcome = deliver.Unknown
		return result, c.t.trouble(stagePost, a.status, nil,
			fmt.Sprintf("the endpoint took a message and failed: it may have acted on it (%d; an endpoint that has not answers 503)", a.status))
	}
	return result, nil
}

// planWords is what is kept of an answer: its status and the beginning of a body that is text.
func planWords(status int, body []byte) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(body), ""))
	words := []rune(strings.TrimSpace(strconv.Itoa(status) + " " + strings.Join(strings.Fields(text), " ")))
	return string(words[:min(len(words), maxReply)])
}

// planRetry reads Retry-After (RFC 9110, section 10.2.3): seconds, or a date.
func planRetry(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
