package credentials

import (
	"slices"
	"strings"
)

// Key names one of a channel's credentials. It is what the name of its file ends with.
type Key string

// The credentials that a channel may have.
const (
	Username       Key = "username" // of the relay
	Password       Key = "password"
	DKIMPrivateKey Key = "dkim-private-key" // PEM
	SigningKey     Key = "signing-key"      // of a webhook: a key, or while it is being replaced two, one on a line
	InboxUsername  Key = "inbox-username"   // of the mailbox into which bounces come
	InboxPassword  Key = "inbox-password"
	HookKey        Key = "hook-key"     // with which a provider signs what it reports
	AccessToken    Key = "access-token" // of an account of Mastodon
	Identifier     Key = "identifier"   // of an account of Bluesky: its handle or DID
	AppPassword    Key = "app-password"
)

// Keys are all of them.
var Keys = []Key{Username, Password, DKIMPrivateKey, SigningKey, InboxUsername, InboxPassword, HookKey, AccessToken, Identifier, AppPassword}

// Channel holds a channel's credentials. Those that it has none of are empty.
type Channel struct {
	Username       string
	Password       string
	DKIMPrivateKey string
	SigningKey     string
	InboxUsername  string
	InboxPassword  string
	HookKey        string
	AccessToken    string
	Identifier     string
	AppPassword    string
}

// Get returns a credential; "" is none, and so is a key that nobody knows.
func (c *Channel) Get(key Key) string {
	if field := c.field(key); field != nil {
		return *field
	}
	return ""
}

// Set sets a credential. A key that nobody knows is left out.
func (c *Channel) Set(key Key, value string) {
	if field := c.field(key); field != nil {
		*field = value
	}
}

func (c *Channel) field(key Key) *string {
	switch key {
	case Username:
		return &c.Username
	case Password:
		return &c.Password
	case DKIMPrivateKey:
		return &c.DKIMPrivateKey
	case SigningKey:
		return &c.SigningKey
	case InboxUsername:
		return &c.InboxUsername
	case InboxPassword:
		return &c.InboxPassword
	case HookKey:
		return &c.HookKey
	case AccessToken:
		return &c.AccessToken
	case Identifier:
		return &c.Identifier
	case AppPassword:
		return &c.AppPassword
	}
	return nil
}

// channelFile splits "channel.<name>.<key>"; the name may contain dots.
func channelFile(file string) (channel string, key Key, ok bool) {
	rest, ok := strings.CutPrefix(file, "channel.")
	if !ok {
		return "", "", false
	}
	dot := strings.LastIndexByte(rest, '.')
	if dot < 1 {
		return "", "", false
	}
	channel, key = rest[:dot], Key(rest[dot+1:])
	return channel, key, slices.Contains(Keys, key)
}
