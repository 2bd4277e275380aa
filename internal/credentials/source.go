package credentials

import (
	"maps"
	"slices"
	"strings"
)

// Source holds the credentials of a source that is listened to, by the key of its Secret, such as "access-token". Which keys a source
// has is a matter of its network.
type Source map[string]string

// Bounds of a source's credentials. All channels and sources of a tenant share one Secret, and a Secret holds a mebibyte.
const (
	MaxSourceKeys      = 8
	MaxSourceKey       = 40
	MaxSourceKeyLength = 4 << 10 // of a value
)

// ValidSourceKey tells whether a key can name a credential of a source: lower-case letters, digits and hyphens.
func ValidSourceKey(key string) bool {
	return key != "" && len(key) <= MaxSourceKey && !strings.ContainsFunc(key, func(r rune) bool {
		return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

const sourcePrefix = "source."

// sourceFile splits "source.<name>.<key>"; the name may contain dots.
func sourceFile(file string) (source, key string, ok bool) {
	rest, ok := strings.CutPrefix(file, sourcePrefix)
	if !ok {
		return "", "", false
	}
	dot := strings.LastIndexByte(rest, '.')
	if dot < 1 {
		return "", "", false
	}
	source, key = rest[:dot], rest[dot+1:]
	return source, key, ValidSourceKey(key)
}

// parseSources reads the credentials of sources; nil where there are none. Of a source with too many the first ones count, in the order of
// their keys.
func parseSources(files map[string]string) map[string]Source {
	var sources map[string]Source
	for _, name := range slices.Sorted(maps.Keys(files)) {
		value := files[name]
		source, key, ok := sourceFile(name)
		if !ok || value == "" || len(value) > MaxSourceKeyLength || len(sources[source]) >= MaxSourceKeys {
			continue
		}
		if sources == nil {
			sources = map[string]Source{}
		}
		if sources[source] == nil {
			sources[source] = Source{}
		}
		sources[source][key] = value
	}
	return sources
}

// appendSources adds the files of sources: the reverse of parseSources.
func appendSources(files map[string]string, sources map[string]Source) {
	for name, source := range sources {
		written := 0
		for _, key := range slices.Sorted(maps.Keys(source)) {
			value := source[key]
			if written < MaxSourceKeys && ValidSourceKey(key) && value != "" && len(value) <= MaxSourceKeyLength {
				files[sourcePrefix+name+"."+key] = value
				written++
			}
		}
	}
}
