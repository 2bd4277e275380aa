package mastodon

import (
	"bytes"
	"encoding/json"
)

// event is what a stream tells.
type event struct {
	status  *status // written or edited
	deleted string  // the id of a post
	refused string  // why a post cannot be kept
	failure bool    // the server does not take the subscription
}

// parseEvent reads a message of a stream. ok is false for what is of no interest.
func parseEvent(message []byte) (e event, ok bool) {
	var m struct {
		Event   string          `json:"event"`
		Payload json.RawMessage `json:"payload"`
		Error   json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(message, &m); err != nil {
		return event{refused: otherForm}, true
	}
	if m.Event == "" {
		return event{failure: true}, len(m.Error) > 0
	}
	payload := unwrap(m.Payload)
	switch m.Event {
	case "update", "status.update":
		return parseUpdate(payload), true
	case "notification":
		var n notification
		if err := json.Unmarshal(payload, &n); err != nil {
			return event{refused: otherForm}, true
		}
		if n.Type != "mention" {
			return event{}, false
		}
		return parseUpdate(n.Status), true
	case "delete":
		id := string(bytes.TrimSpace(payload))
		return event{deleted: id}, id != "" && len(id) <= maxNativeID
	}
	return event{}, false // filters, announcements, conversations
}

// unwrap takes the text out of a payload that is JSON within a text, as all are.
func unwrap(payload json.RawMessage) []byte {
	var text string
	if json.Unmarshal(payload, &text) != nil {
		return payload
	}
	return []byte(text)
}

func parseUpdate(raw []byte) event {
	s, refused := parseStatus(raw)
	if refused != "" {
		return event{refused: refused}
	}
	return event{status: &s}
}
