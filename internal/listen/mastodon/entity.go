package mastodon

import (
	"encoding/json"
	"errors"
	"strings"
)

// What the API calls entities, with the fields that are read.
type (
	status struct {
		ID          string    `json:"id"`
		URL         string    `json:"url"`
		URI         string    `json:"uri"`
		CreatedAt   string    `json:"created_at"`
		EditedAt    string    `json:"edited_at"`
		InReplyTo   string    `json:"in_reply_to_id"`
		SpoilerText string    `json:"spoiler_text"`
		Visibility  string    `json:"visibility"`
		Language    string    `json:"language"`
		Content     string    `json:"content"`
		Replies     int64     `json:"replies_count"`
		Reblogs     int64     `json:"reblogs_count"`
		Favourites  int64     `json:"favourites_count"`
		Account     account   `json:"account"`
		Reblog      *status   `json:"reblog"`
		Quote       *quote    `json:"quote"`
		Media       []media   `json:"media_attachments"`
		Mentions    []mention `json:"mentions"`
		Tags        []tag     `json:"tags"`
		Poll        *poll     `json:"poll"`
	}
	account struct {
		ID          string  `json:"id"`
		Acct        string  `json:"acct"`
		URI         string  `json:"uri"` // of the actor, since 4.2
		URL         string  `json:"url"` // of the page
		DisplayName string  `json:"display_name"`
		Followers   *int64  `json:"followers_count"`
		CreatedAt   string  `json:"created_at"`
		Bot         bool    `json:"bot"`
		Emojis      []emoji `json:"emojis"`
	}
	quote struct {
		State    string  `json:"state"`
		Status   *status `json:"quoted_status"`
		StatusID string  `json:"quoted_status_id"` // in the place of Status within a quote
	}
	media struct {
		Type        string `json:"type"`
		URL         string `json:"url"`
		RemoteURL   string `json:"remote_url"`
		Description string `json:"description"`
	}
	mention struct {
		ID   string `json:"id"`
		Acct string `json:"acct"`
		URL  string `json:"url"`
	}
	tag struct {
		Name string `json:"name"`
	}
	emoji struct {
		Shortcode string `json:"shortcode"`
	}
	poll struct {
		Options []struct {
			Title string `json:"title"`
		} `json:"options"`
	}
	notification struct {
		ID     string          `json:"id"`
		Type   string          `json:"type"`
		Status json.RawMessage `json:"status"`
	}
)

// Why a post cannot be kept.
const (
	otherForm = "it has another form than the Mastodon API documents"
	noID      = "it has no id"
)

// maxNativeID bounds ids: servers have up to 26 characters.
const maxNativeID = 64

// parseStatus reads a post. refused says why it cannot be.
func parseStatus(raw []byte) (s status, refused string) {
	if err := json.Unmarshal(raw, &s); err != nil && isVital(err) {
		return s, otherForm
	}
	if s.ID == "" || len(s.ID) > maxNativeID {
		return s, noID
	}
	return s, ""
}

// isVital tells whether what cannot be read is needed. A count that became a text, say, is not: the rest was read all the same.
func isVital(err error) bool {
	var mistyped *json.UnmarshalTypeError
	if !errors.As(err, &mistyped) {
		return true
	}
	field := mistyped.Field
	if field == "" {
		return true
	}
	for _, vital := range []string{"id", "content", "account", "account.id", "account.acct", "visibility", "reblog"} {
		if strings.EqualFold(field, vital) {
			return true
		}
	}
	return false
}
