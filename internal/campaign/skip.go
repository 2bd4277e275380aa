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
	// DuplicateAddress: another recipient of the same send had this address when this one was judged. It stays so when the
	// other is left out later: where one of two who share an address takes the consent back in the middle of a send, that
	// address gets nothing from it.
	DuplicateAddress SkipReason = "DuplicateAddress"
	// Dormant: the campaign was deleted and did not come back within DormancyLimit.
	Dormant SkipReason = "Dormant"
)
