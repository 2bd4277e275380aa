package inbound

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/render"
)

// MaxHook is how many bytes a provider may post at a time.
const MaxHook = 256 << 10

// maxHookID bounds the id that a provider gives a report.
const maxHookID = 200

// ErrReport means that what was posted is not of the provider's shape.
var ErrReport = errors.New("the report cannot be read")

// Report is what a provider posted about a message.
type Report struct {
	// ID is the provider's: the same one twice is the same report.
	ID     string
	Notice Notice
	// Address is whom it is about, where it does not name a message of ours; "" otherwise.
	Address string
}

// generic is our own shape. docs/platform.md describes it.
type generic struct {
	Kind          string `json:"kind"` // bounce, delay, complaint, reply
	MessageID     string `json:"messageId"`
	ReturnAddress string `json:"returnAddress"`
	Recipient     string `json:"recipient"`
	Class         string `json:"class"` // hard, soft; by the status where it is missing
	Status        string `json:"status"`
	Diagnostic    string `json:"diagnostic"`
	Feedback      string `json:"feedback"`
	At            string `json:"at"`
	From          string `json:"from"`
	Subject       string `json:"subject"`
	Text          string `json:"text"`
}

// ReadGeneric reads a report in our own shape. key is the tenant's link key, id the one by which the provider signed. The
// errors name the field.
func ReadGeneric(key []byte, id string, body []byte) (Report, error) {
	if id == "" || len(id) > maxHookID {
		return Report{}, fmt.Errorf("%w: its id is missing, or longer than %d bytes", ErrReport, maxHookID)
	}
	var g generic
	if err := decodeStrictly(body, &g); err != nil {
		return Report{}, err
	}
	r := Report{ID: clean(id), Notice: Notice{Reference: referTo(key, g.ReturnAddress, g.MessageID)}}
	n := &r.Notice
	if g.At != "" {
		at, err := time.Parse(time.RFC3339, g.At)
		if err != nil {
			return Report{}, fmt.Errorf("%w: at is no time such as 2027-03-21T09:00:00Z", ErrReport)
		}
		n.At = at
	}
	if err := g.say(n); err != nil {
		return Report{}, err
	}
	return r, r.concern(g.Recipient)
}

// say fills in what the report says.
func (g generic) say(n *Notice) error {
	switch g.Kind {
	case "bounce", "delay":
		n.Kind, n.Status, n.Diagnostic = Delay, enhanced.FindString(g.Status), cut(g.Diagnostic, maxDiagnostic)
		if g.Kind == "delay" {
			return nil
		}
		n.Kind = Bounce
		switch g.Class {
		case "hard":
			n.Class = Hard
		case "soft":
			n.Class = Soft
		case "":
			n.Class = classify(n.Status, n.Diagnostic)
		default:
			return fmt.Errorf("%w: class is neither hard nor soft", ErrReport)
		}
	case "complaint":
		n.Kind, n.Feedback = Complaint, cut(g.Feedback, maxHeader)
	case "reply":
		n.Kind, n.From, n.Subject, n.Text = Reply, cut(g.From, maxHeader), cut(g.Subject, maxHeader), clean(g.Text)
		if len(n.Text) > maxText {
			n.Text = strings.ToValidUTF8(n.Text[:maxText], "")
		}
	default:
		return fmt.Errorf("%w: kind is none of bounce, delay, complaint and reply", ErrReport)
	}
	return nil
}

// concern notes whom the report is about, where it names no message of ours.
func (r *Report) concern(recipient string) error {
	if r.Notice.Reference.Known() {
		return nil
	}
	recipient = strings.Trim(clean(recipient), "<> ")
	if recipient == "" || len(recipient) > maxAddress || !strings.Contains(recipient, "@") {
		return fmt.Errorf("%w: it names no message of ours, by messageId or returnAddress, and no recipient", ErrReport)
	}
	r.Address = recipient
	return nil
}

// maxAddress is how long an address may be (RFC 5321, section 4.5.3.1.3, with what may surround it).
const maxAddress = 320

// referTo finds a message of ours by where its bounces go, or by its Message-ID.
func referTo(key []byte, returnAddress, messageID string) Reference {
	if reference, err := ParseReturnAddress(key, strings.Trim(returnAddress, "<> ")); err == nil {
		return reference
	}
	if send, seq, err := render.ParseMessageID(key, strings.TrimSpace(messageID)); err == nil {
		return Reference{Send: send, Seq: seq}
	}
	return Reference{}
}

// providerClass is whether an address is to blame for what a provider calls permanent. A status that says what it was about
// outweighs that: a provider gives up for good on mail that was refused for its content, too.
func providerClass(permanent bool, status, diagnostic string) Class {
	if !permanent {
		return Soft
	}
	code := enhanced.FindStringSubmatch(status)
	if code == nil {
		code = enhanced.FindStringSubmatch(diagnostic)
	}
	if code == nil || code[2] == "0" {
		return Hard
	}
	return classify(code[0], diagnostic)
}

// decodeStrictly reads one JSON object without fields that nobody knows, so that a slip of the pen is told.
func decodeStrictly(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %s", ErrReport, jsonTrouble(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the JSON object", ErrReport)
	}
	return nil
}

// jsonTrouble tells what is amiss with JSON without repeating values of it.
func jsonTrouble(err error) string {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Sprintf("%s cannot be a JSON %s", kind.Field, kind.Value)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return "there is no field " + cut(name, 60)
	}
	return "it is no JSON object"
}
