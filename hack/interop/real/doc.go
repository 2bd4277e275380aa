// Package real holds the tests that run connectors against real servers of their networks. They take programs that no other test needs, so
// they are built with the tag interop alone: make interop installs the programs and runs them.
package real
