package webhook

import "github.com/tertulia-crm/tertulia/internal/deliver"

// flaw tells why a message is none to anybody, and "" where it may be one.
func flaw(m *deliver.Message) string {
	why := deliver.AddressFlaw(m.To)
	if why == "" && !isHeaderValue(m.ID) {
		why = "the message has no id that a header could hold"
	}
	return why
}

// isHeaderValue tells whether a text can stand in a header as it is: visible ASCII.
func isHeaderValue(text string) bool {
	if text == "" || len(text) > 255 {
		return false
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
