package render

import "time"

// ConfirmURL is the variable that holds the link by which the holder of an address confirms what was asked in its name. Only
// the mails of a ConsentPolicy have it.
const ConfirmURL = "confirm_url"

// A token for confirming is base64url, without padding, of: the version (one byte), send, contact and the minute since 1970 at
// which it expires as unsigned varints, and the first 16 bytes of the HMAC-SHA256 of all before.
const confirmVersion = 3 // of no other token that this key signs

// SignConfirm makes the token by which a contact confirms what the mail of a send asks, until a time. key is the tenant's link
// key; the ids are positive.
func SignConfirm(key []byte, sendID, contactID int64, expires time.Time) string {
	minute := uint64(expires.Unix() / 60) //nolint:gosec // after 1970
	return string(NewSigner(key).take().appendNumbers(nil, confirmVersion, uint64(sendID), uint64(contactID), minute))
}

// VerifyConfirm reads a token that SignConfirm made with this key. Any other text gives ErrToken. Whether it has expired is for
// the caller to judge.
func VerifyConfirm(key []byte, token string) (sendID, contactID int64, expires time.Time, err error) {
	var numbers [3]int64
	if err := readNumbers(key, token, confirmVersion, numbers[:]); err != nil {
		return 0, 0, time.Time{}, err
	}
	return numbers[0], numbers[1], time.Unix(numbers[2]*60, 0).UTC(), nil
}
