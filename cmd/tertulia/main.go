// Command tertulia is every process and every verb of Tertulia in one binary.
package main

import (
	"os"
	_ "time/tzdata" // schedules and contacts have zones, and minimal images have no database of them

	"github.com/tertulia-crm/tertulia/internal/cli"
)

func main() { os.Exit(cli.Main()) }
