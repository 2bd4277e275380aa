package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Token is what is known of a bearer token. The token itself is shown once, to who made it, and kept nowhere.
type Token struct {
	Name      string
	Scopes    []string
	CreatedAt time.Time
	ExpiresAt *time.Time // nil: never
	RevokedAt *time.Time // nil: in force, unless expired
}

// ErrNameTaken says that a token of this name is in force.
var ErrNameTaken = errors.New("a token of this name exists already")

// NewToken makes a token: 256 random bits in base64url, after a prefix by which scanners for secrets recognise it.
func NewToken() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // it never fails: crypto/rand ends the program rather
	return "ttl_" + base64.RawURLEncoding.EncodeToString(random)
}

// HashToken is the form in which a token is stored. Tokens are random, so that a plain hash cannot be guessed back.
func HashToken(token string) []byte {
	hash := sha256.Sum256([]byte(token))
	return hash[:]
}

// CreateToken records a token by its hash and returns it with the time of its creation. It returns ErrNameTaken while
// another of its name is not revoked.
func (db *DB) CreateToken(ctx context.Context, t Token, hash []byte) (Token, error) {
	err := db.Pool.QueryRow(ctx, "insert into api_token (name, hash, scopes, expires_at) values ($1, $2, $3, $4) returning created_at",
		t.Name, hash, t.Scopes, t.ExpiresAt).Scan(&t.CreatedAt)
	if IsUniqueViolation(err, "api_token_name") {
		return Token{}, ErrNameTaken
	}
	if err != nil {
		return Token{}, fmt.Errorf("create the token: %w", err)
	}
	return t, nil
}

// ListTokens returns the tokens that are not revoked, by name.
func (db *DB) ListTokens(ctx context.Context) ([]Token, error) {
	rows, err := db.Pool.Query(ctx, "select name, scopes, created_at, expires_at, revoked_at from api_token where revoked_at is null order by name")
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	tokens, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Token])
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return tokens, nil
}

// RevokeToken ends a token at once. It returns ErrNotFound where none of this name is in force.
func (db *DB) RevokeToken(ctx context.Context, name string) error {
	tag, err := db.Pool.Exec(ctx, "update api_token set revoked_at = now() where name = $1 and revoked_at is null", name)
	if err != nil {
		return fmt.Errorf("revoke the token: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("revoke the token: %w", ErrNotFound)
	}
	return nil
}

// FindToken returns the token with a hash if it is in force, by the database's clock, and else ErrNotFound.
func (db *DB) FindToken(ctx context.Context, hash []byte) (Token, error) {
	var t Token
	var stored []byte
	err := db.Pool.QueryRow(ctx, `select name, scopes, created_at, expires_at, hash from api_token
		where hash = $1 and revoked_at is null and (expires_at is null or expires_at > now())`, hash).
		Scan(&t.Name, &t.Scopes, &t.CreatedAt, &t.ExpiresAt, &stored)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && subtle.ConstantTimeCompare(stored, hash) != 1 {
		return Token{}, fmt.Errorf("find the token: %w", ErrNotFound)
	}
	if err != nil {
		return Token{}, fmt.Errorf("find the token: %w", err)
	}
	return t, nil
}
