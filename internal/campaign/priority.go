package campaign

// Priority is who goes first over a channel. There is room between the values.
type Priority int16

// The priorities.
const (
	// Bulk is a mass mail: those of one channel take turns.
	Bulk Priority = 0
	// Transactional is a message that somebody waits for. It overtakes mass mails.
	Transactional Priority = 10
)
