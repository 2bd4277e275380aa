package campaign

// SkipReason is why a recipient was left out.
type SkipReason string

// The reasons. They are judged in this order, and the first that applies is the one that is recorded.
const (
	// NoConsent: the contact has not consented to the purpose, or took the consent back.
	NoConsent SkipReason = "NoConsent"
	// NoAddress: the contact has no address that the channel reaches.
	NoAddress SkipReason = "NoAddress"
	// Suppressed: the address is never written to, because it bounced, complained or opted out of everything.
	Suppressed SkipReason = "Suppressed"
	// FrequencyCap: the contact has got as many messages of the purpose lately as a SendPolicy allows.
	FrequencyCap SkipReason = "FrequencyCap"
	// DuplicateAddress: another recipient of the same send had this address when this one was judged. It stays so when the
	// other is left out later: where one of two who share an address takes the consent back in the middle of a send, that
	// address gets nothing from it.
	DuplicateAddress SkipReason = "DuplicateAddress"
	// DuplicateContact: another recipient of the same send is the same person by now, and has the message, or will.
	DuplicateContact SkipReason = "DuplicateContact"
	// HoldOut: the contact is one of those who get nothing, to compare with.
	HoldOut SkipReason = "HoldOut"
	// Late: the hour at which the contact was to be written to had passed in its time zone by more than the starting deadline.
	Late SkipReason = "Late"
	// Ended: the message was still pending when the schedule ended.
	Ended SkipReason = "Ended"
	// Dormant: the campaign was deleted and did not come back within DormancyLimit.
	Dormant SkipReason = "Dormant"
	// AbortedSend: a person ended the campaign before this recipient's turn.
	AbortedSend SkipReason = "Aborted"
)
