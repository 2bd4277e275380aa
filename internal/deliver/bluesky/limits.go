package bluesky

import "github.com/tertulia-crm/tertulia/internal/deliver/post"

// Limits are what the network takes: the same everywhere.
func Limits() post.Limits { return limits }
