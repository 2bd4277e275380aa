// Package credentials keeps what a worker or a server must know of a tenant and must never read from a row: where its
// database is, and the credentials of channels and of sources. A tenant directory is flat, because in a cluster it is a mounted Secret. Its
// files are the Secret's keys, and are written by the operator:
//
//	tenant                     the tenant's id
//	namespace                  of the tenant in the cluster, which alone may change the directory
//	public-url                 where contacts reach the tenant's server
//	database-url               the runtime role's URL
//	channel.<name>.<key>       a credential of a channel: see Key
//	source.<name>.<key>        a credential of a source that is listened to: see Source
//	sentiment-token            of the server that judges how posts speak
//	metrics-token-sha256       in hex, of the token that is wanted by who scrapes workers and servers
package credentials

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Tenant is the content of a tenant directory.
type Tenant struct {
	ID string
	// Namespace is whose tenant it is in the cluster; "" in a directory that no operator wrote.
	Namespace string
	// PublicURL is where contacts reach the tenant's server. It is read from here and not from the tenant's database, whose
	// owner could name another tenant's host.
	PublicURL   string
	DatabaseURL string
	Channels    map[string]Channel // by name; a channel without credentials is absent
	Sources     map[string]Source  // by name; a source without credentials is absent
	// SentimentToken is sent to the server that judges how posts speak; "" where it wants none, or there is none.
	SentimentToken string
	// MetricsTokenSHA256 is what the token of who scrapes hashes to, in hex; "" lets everybody.
	MetricsTokenSHA256 string
	// Digest changes when anything above does.
	Digest string
}

// HostOf is the host by which a public URL names its tenant, and "" for a URL with a path, which names it by that.
func HostOf(publicURL string) string {
	u, err := url.Parse(publicURL)
	if err != nil || u.Path != "" {
		return ""
	}
	return u.Host
}

// The files of a tenant directory, but for those of channels and sources.
const (
	tenantFile       = "tenant"
	namespaceFile    = "namespace"
	publicURLFile    = "public-url"
	databaseURLFile  = "database-url"
	sentimentFile    = "sentiment-token"
	metricsTokenFile = "metrics-token-sha256"
)

// maxFile bounds what is read of one file; a URL or a password is far shorter.
const maxFile = 64 << 10

// ErrIncomplete says that a directory does not hold a tenant yet.
var ErrIncomplete = errors.New("the tenant directory is incomplete")

// Read reads a tenant directory. A directory that lacks the tenant's id or its database gives ErrIncomplete.
func Read(dir string) (Tenant, error) {
	files, err := readFiles(dir)
	if err != nil {
		return Tenant{}, fmt.Errorf("read tenant directory %s: %w", dir, err)
	}
	tenant, err := Parse(files)
	if err != nil {
		return Tenant{}, fmt.Errorf("read tenant directory %s: %w", dir, err)
	}
	return tenant, nil
}

// Parse reads what a tenant directory's files, or its Secret's keys, hold. Line ends after a value do not count. Without
// the tenant's id or its database it gives ErrIncomplete.
func Parse[Value string | []byte](values map[string]Value) (Tenant, error) {
	files := make(map[string]string, len(values))
	for name, value := range values {
		files[name] = strings.TrimRight(string(value), "\r\n")
	}
	tenant := Tenant{
		ID: files[tenantFile], Namespace: files[namespaceFile], PublicURL: files[publicURLFile], DatabaseURL: files[databaseURLFile],
		Channels: map[string]Channel{}, SentimentToken: files[sentimentFile], MetricsTokenSHA256: files[metricsTokenFile], Digest: digest(files),
	}
	if tenant.ID == "" || tenant.DatabaseURL == "" {
		return Tenant{}, ErrIncomplete
	}
	for name, value := range files {
		channel, key, ok := channelFile(name)
		if !ok || value == "" {
			continue
		}
		c := tenant.Channels[channel]
		c.Set(key, value)
		tenant.Channels[channel] = c
	}
	tenant.Sources = parseSources(files)
	return tenant, nil
}

// Files are what a tenant's directory holds, and its Secret: the reverse of Parse.
func (t Tenant) Files() map[string]string {
	files := map[string]string{tenantFile: t.ID, databaseURLFile: t.DatabaseURL}
	for name, content := range map[string]string{
		namespaceFile: t.Namespace, publicURLFile: t.PublicURL, sentimentFile: t.SentimentToken,
		metricsTokenFile: t.MetricsTokenSHA256,
	} {
		if content != "" {
			files[name] = content
		}
	}
	for name, c := range t.Channels {
		for _, key := range Keys {
			if value := c.Get(key); value != "" {
				files["channel."+name+"."+string(key)] = value
			}
		}
	}
	appendSources(files, t.Sources)
	return files
}

// dataLink is where a mounted Secret keeps its revision: a link to a hidden directory, which is replaced at once when the
// Secret changes, and into which the links that are its files lead.
const dataLink = "..data"

// readFiles reads a directory. Of a mounted Secret it reads one revision, whatever is being replaced meanwhile: a mixture
// of two could join one relay's user with another's password.
func readFiles(dir string) (map[string]string, error) {
	for range 10 {
		revision, err := os.Readlink(filepath.Join(dir, dataLink))
		if errors.Is(err, fs.ErrNotExist) {
			return readPlain(dir)
		}
		if err != nil {
			return nil, err
		}
		if !filepath.IsLocal(revision) || filepath.Base(revision) != revision {
			return nil, fmt.Errorf("%s leads out of the directory", dataLink)
		}
		files, err := readPlain(filepath.Join(dir, revision))
		// An old revision is removed once the link leads to the new one.
		now, linkErr := os.Readlink(filepath.Join(dir, dataLink))
		if linkErr == nil && now == revision {
			return files, err
		}
	}
	return nil, fmt.Errorf("%s changed again and again while it was read", dataLink)
}

// readPlain reads the files that stand in a directory.
func readPlain(dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		content, err := readFile(filepath.Join(dir, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files[entry.Name()] = content
	}
	return files, nil
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(content) > maxFile {
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return string(content), nil
}

func digest(files map[string]string) string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		fmt.Fprintf(h, "%d:%s%d:%s", len(name), name, len(files[name]), files[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// List returns the tenant directories under a root, in order. A root that does not exist has none.
func List(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list tenant directories: %w", err)
	}
	var dirs []string
	for _, entry := range entries {
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			dirs = append(dirs, filepath.Join(root, entry.Name()))
		}
	}
	return dirs, nil
}
