// Package expr is the expression language of segments, policies and rules: CEL, typed from a tenant's schema, checked once and compiled
// to SQL. It builds SQL and runs none. What is asked of an event or a campaign alone it evaluates itself.
//
// A source goes through four steps, each in a file of its own: parse (bounds on size and depth), resolve (names,
// literals and privacy, with messages for the author), check (cel-go's checker over our own declarations) and
// compile (a walk over the checked tree). Every step refuses what it does not know, so that a new node of CEL is an
// error with a position until somebody decides what it means.
package expr

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Compiled is an expression that has been checked against a schema, in the form in which PostgreSQL decides it.
type Compiled struct {
	// Predicate is a boolean SQL expression over alias c, a row of contact. It is true where the contact belongs;
	// otherwise it is false or null, and a statement that asks for the others must say "is not true".
	Predicate string
	// Arguments are the values of $1…$n in text form. Each is used once and with a cast, such as $1::numeric.
	Arguments []string
	// Digest identifies the meaning: the SHA-256, in hexadecimal, of predicate and arguments. Spaces and comments do
	// not change it, the type of an attribute does.
	Digest string
	// Dependencies are what the answer depends on.
	Dependencies Dependencies
	// Cost is about what one contact costs PostgreSQL, in comparisons of a column.
	Cost int
}

// Compile checks an expression against a schema and compiles it. The error is an *Error that lists what the author
// has to mend, unless the schema itself cannot be used.
func Compile(schema crm.Schema, source string) (*Compiled, error) {
	c, err := compileSource(environment{schema: schema}, source)
	if err != nil {
		return nil, err
	}
	return c.compiled(), nil
}

// compileSource takes a source through all steps.
func compileSource(env environment, source string) (*compiler, error) {
	if err := env.check(); err != nil {
		return nil, err
	}
	tree, err := parse(source)
	if err != nil {
		return nil, err
	}
	if err := resolve(env, tree); err != nil {
		return nil, err
	}
	if err := tree.check(env); err != nil {
		return nil, err
	}
	c := &compiler{environment: env, tree: tree, uses: newUses()}
	if env.want != nil {
		c.sql = c.assigned(tree.root())
	} else {
		c.sql = c.predicate(tree.root(), false)
	}
	c.checkCost()
	return c, c.err()
}

// compiled is what came of it.
func (c *compiler) compiled() *Compiled {
	parts := append([]string{c.sql}, c.arguments...)
	for _, f := range c.filled {
		parts = append(parts, strconv.Itoa(f.argument), f.subject, f.path)
	}
	return &Compiled{Predicate: c.sql, Arguments: c.arguments, Digest: digest(parts), Dependencies: c.uses.dependencies(), Cost: c.cost}
}

// digest hashes the parts with their lengths, so that no two lists of parts read the same.
func digest(parts []string) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	return hex.EncodeToString(h.Sum(nil))
}
