package render

import (
	"crypto/subtle"
	"strconv"
	"strings"
)

// ParseMessageID tells which ledger row a Message-ID is of, with or without angle brackets: MessageID made it with this
// key and without a step. Any other text gives ErrToken.
func ParseMessageID(key []byte, id string) (sendID, seq int64, err error) {
	const longest = 250
	id = strings.TrimSuffix(strings.TrimPrefix(id, "<"), ">")
	local, domain, ok := strings.Cut(id, "@")
	parts := strings.Split(local, ".")
	if !ok || len(id) > longest || len(parts) != 3 {
		return 0, 0, ErrToken
	}
	if sendID, err = strconv.ParseInt(parts[0], 10, 64); err != nil {
		return 0, 0, ErrToken
	}
	if seq, err = strconv.ParseInt(parts[1], 10, 64); err != nil || sendID <= 0 || seq <= 0 {
		return 0, 0, ErrToken
	}
	made := MessageID(key, sendID, seq, "", domain)
	if subtle.ConstantTimeCompare([]byte(made), []byte("<"+id+">")) != 1 {
		return 0, 0, ErrToken
	}
	return sendID, seq, nil
}
