// Package drill holds bad days as tests: an operator, workers, servers, a Kubernetes API server and PostgreSQL servers of the
// test's own, to which happens what docs/runbooks tells of. What an SRE would type is run as it would be typed.
package drill
