package render

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Envelope is what a message says of itself besides its content. From, To, MessageID and Date are required.
type Envelope struct {
	From           string    // author as people see it: Velo <hola@velo.example>
	ReplyTo        string    // where answers go, written as From; "" for From
	To             string    // the recipient's address alone
	MessageID      string    // with its angle brackets, as MessageID makes it
	Date           time.Time // of the message; its zone is shown
	UnsubscribeURL string    // List-Unsubscribe (RFC 2369); "" for a message that is none of a list
	OneClick       bool      // List-Unsubscribe-Post (RFC 8058): the URL is https, and DKIM will cover both headers
	// InReplyTo is the Message-ID of the mail that this one answers, and References those of its thread, without angle brackets. What is none, as
	// of a mail without one, is left out, and so is what comes twice.
	InReplyTo  string
	References []string
	// AutoReplied says that a program answers (RFC 3834), so that no other program answers it.
	AutoReplied bool
}

const (
	maxLine = 76  // characters, of encoded lines (RFC 2045, section 6.7) and folded headers
	maxURL  = 900 // bytes: with its name and brackets within the 998 of RFC 5322, section 2.1.1
)

// Compose writes a message as RFC 5322 and MIME have it: UTF-8, quoted-printable, lines ended by CRLF, seven bits
// throughout but for an address that is not ASCII (RFC 6532), text and HTML as alternatives. The same input gives the
// same bytes. Nothing in the input can add a header.
//
// We compose ourselves rather than by a mail library: this runs once for every recipient, and a library builds a tree
// of headers and parts, asks the clock and a random source for what must be the same at every try, and offers much
// that a campaign must not have.
func Compose(e Envelope, r Rendered) ([]byte, error) {
	out := make([]byte, 0, 2048+len(r.Text)*9/8+len(r.HTML)*9/8)
	out, err := appendHeaders(out, e, r.Subject)
	if err != nil {
		return nil, fmt.Errorf("compose message: %w", err)
	}
	switch {
	case r.HTML == "":
		return appendPart(out, "text/plain", r.Text), nil
	case r.Text == "":
		return appendPart(out, "text/html", r.HTML), nil
	}
	boundary := boundaryOf(e.MessageID)
	out = append(out, "Content-Type: multipart/alternative;\r\n boundary=\""+boundary+"\"\r\n\r\n--"+boundary+"\r\n"...)
	out = appendPart(out, "text/plain", r.Text)
	out = append(out, "\r\n--"+boundary+"\r\n"...)
	out = appendPart(out, "text/html", r.HTML)
	return append(out, "\r\n--"+boundary+"--\r\n"...), nil
}

// boundaryOf derives the boundary. "=_" occurs in no quoted-printable text, so no part can contain it.
func boundaryOf(messageID string) string {
	sum := sha256.Sum256([]byte(messageID))
	return "=_" + hex.EncodeToString(sum[:12])
}

func appendPart(out []byte, contentType, content string) []byte {
	out = append(out, "Content-Type: "+contentType+"; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"...)
	out = appendQuotedPrintable(out, content)
	return append(out, '\r', '\n')
}

func appendHeaders(out []byte, e Envelope, subject string) ([]byte, error) {
	from, err := mailbox(e.From)
	if err != nil {
		return nil, fmt.Errorf("sender: %w", err)
	}
	to, err := recipient(e.To)
	if err != nil {
		return nil, fmt.Errorf("recipient: %w", err)
	}
	if !isMessageID(e.MessageID) {
		return nil, errors.New("the Message-ID is not of the form <id@domain>")
	}
	if e.Date.IsZero() {
		return nil, errors.New("the message has no date")
	}
	header := func(name, value string) { out = append(out, name+": "+value+"\r\n"...) }
	header("From", from)
	header("To", to)
	if e.ReplyTo != "" {
		replyTo, err := mailbox(e.ReplyTo)
		if err != nil {
			return nil, fmt.Errorf("reply address: %w", err)
		}
		header("Reply-To", replyTo)
	}
	header("Subject", encodeSubject(subject))
	header("Date", e.Date.Format(time.RFC1123Z))
	header("Message-ID", e.MessageID)
	if thread := messageIDs(e.References...); len(thread) > 0 {
		if answered := messageIDs(e.InReplyTo); len(answered) > 0 {
			header("In-Reply-To", answered[0])
		}
		header("References", strings.Join(thread, "\r\n "))
	}
	if e.AutoReplied {
		header("Auto-Submitted", "auto-replied")
	}
	if e.UnsubscribeURL != "" {
		if err := checkURL(e.UnsubscribeURL, e.OneClick); err != nil {
			return nil, err
		}
		header("List-Unsubscribe", "<"+e.UnsubscribeURL+">")
		if e.OneClick {
			header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
		}
	}
	header("MIME-Version", "1.0")
	return out, nil
}

// mailbox encodes the sender, who is the channel's author's affair: an error shows the text.
func mailbox(s string) (string, error) {
	a, err := mail.ParseAddress(s)
	if err != nil {
		return "", fmt.Errorf("%q is no address such as Velo <hola@velo.example>", s)
	}
	return a.String(), nil
}

var errRecipient = errors.New("the address is none")

// recipient encodes an address; the error does not repeat it.
func recipient(address string) (string, error) {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 || at == len(address)-1 || len(address) > 254 || !utf8.ValidString(address) {
		return "", errRecipient
	}
	for _, r := range address {
		if unicode.IsControl(r) || unicode.IsSpace(r) || r == '<' || r == '>' {
			return "", errRecipient
		}
	}
	return (&mail.Address{Address: address}).String(), nil
}

// appendRecipient appends what recipient gives: plain addresses, as nearly all are, without making a text of them first.
func appendRecipient(dst []byte, address string) ([]byte, error) {
	if isPlainAddress(address) {
		return append(append(append(dst, '<'), address...), '>'), nil
	}
	encoded, err := recipient(address)
	return append(dst, encoded...), err
}

// isPlainAddress tells whether an address is made of letters, digits and single dots, hyphens, underscores and plus signs, with
// one @ in it.
func isPlainAddress(s string) bool {
	at, last := 0, byte('.')
	for i := range len(s) {
		c := s[i]
		switch {
		case isLetter(c) || isDigit(c) || c == '-' || c == '+':
		case c == '.' && last != '.' && last != '@':
		case c == '@' && last != '.' && at == 0:
			at = i
		default:
			return false
		}
		last = c
	}
	return at > 0 && last != '.' && last != '@' && len(s) <= 254
}

// messageIDs are ids as they stand in a header, each once: of those that can stand there.
func messageIDs(ids ...string) []string {
	var written []string
	for _, id := range ids {
		if id = "<" + id + ">"; isMessageID(id) && !slices.Contains(written, id) {
			written = append(written, id)
		}
	}
	return written
}

func isMessageID(s string) bool {
	if len(s) < 5 || len(s) > 250 || s[0] != '<' || s[len(s)-1] != '>' || strings.Count(s, "@") != 1 {
		return false
	}
	for _, c := range []byte(s[1 : len(s)-1]) {
		if c <= ' ' || c >= 0x7f || c == '<' || c == '>' {
			return false
		}
	}
	return true
}

func checkURL(s string, https bool) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsAny(s, "<> \t\r\n") || !isPrintableASCII(s):
		return errors.New("the unsubscribe URL is not an absolute http or https URL")
	case https && u.Scheme != "https":
		return errors.New("one-click unsubscription needs an https URL (RFC 8058)")
	case len(s) > maxURL:
		return fmt.Errorf("the unsubscribe URL is longer than %d bytes", maxURL)
	}
	return nil
}

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// appendSubject appends what encodeSubject makes of a text that is to be one line.
func appendSubject(dst, s []byte) []byte {
	if isPlainSubject(s) {
		return append(dst, s...)
	}
	return append(dst, encodeSubject(string(s))...)
}

// isPlainSubject tells whether a subject goes out as it is.
func isPlainSubject(s []byte) bool {
	if len("Subject: ")+len(s) > maxLine {
		return false
	}
	last := byte(' ')
	for _, c := range s {
		if c < ' ' || c >= 0x7f || c == ' ' && last == ' ' || c == '?' && last == '=' {
			return false
		}
		last = c
	}
	return last != ' '
}

// encodeSubject folds a subject, and encodes it (RFC 2047) where it is not plain ASCII.
func encodeSubject(s string) string {
	const name = "Subject: "
	s = oneLine(s)
	if isPrintableASCII(s) {
		// A word that is longer than a line cannot be folded; encoded words can follow one another without a blank in what they say.
		tooLong := func(word string) bool { return len(name)+len(word) > maxLine }
		if strings.Contains(s, "=?") || slices.ContainsFunc(strings.Split(s, " "), tooLong) {
			s = asWords(s)
		}
		return fold(s, len(name))
	}
	encoder := mime.QEncoding
	if 2*countASCII(s) < utf8.RuneCountInString(s) {
		encoder = mime.BEncoding
	}
	// A word never holds a blank, so these are the ones between words. Package mime does not count the header's name.
	words := strings.Split(encoder.Encode("utf-8", s), " ")
	if len(name)+len(words[0]) > maxLine {
		words[0] = "\r\n " + words[0]
	}
	return strings.Join(words, "\r\n ")
}

// asWords encodes ASCII that could be taken for encoded words, which package mime leaves as it is.
func asWords(s string) string {
	const most = 18 // bytes of three characters each: a word has 75 at most
	var b strings.Builder
	for len(s) > 0 {
		n := min(most, len(s))
		b.WriteString("=?utf-8?q?")
		for _, c := range []byte(s[:n]) {
			fmt.Fprintf(&b, "=%02X", c)
		}
		b.WriteString("?=")
		if s = s[n:]; s != "" {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func countASCII(s string) (n int) {
	for _, r := range s {
		if r < utf8.RuneSelf {
			n++
		}
	}
	return n
}

// fold breaks a header's value before blanks so that lines keep within maxLine; used is the length of its name.
func fold(s string, used int) string {
	if used+len(s) <= maxLine {
		return s
	}
	var b strings.Builder
	for i, word := range strings.Split(s, " ") {
		switch {
		case i == 0:
		case used+1+len(word) > maxLine:
			b.WriteString("\r\n ")
			used = 1
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += len(word)
	}
	return b.String()
}
