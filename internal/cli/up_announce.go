package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
)

// upReady is the line that `--output json` prints when all is ready. What does not run is empty.
type upReady struct {
	Ready      bool   `json:"ready"`
	Kubeconfig string `json:"kubeconfig"`
	Server     string `json:"server"`
	SMTP       string `json:"smtp"`
	Mailbox    string `json:"mailbox"`
	Database   string `json:"database"`
	Kubectl    string `json:"kubectl"`
	Tenants    string `json:"tenants"`
	Logs       string `json:"logs"`
	Worker     string `json:"worker"`
}

func (u *up) ready() upReady {
	r := upReady{
		Ready: true, Kubeconfig: u.plane.Kubeconfig(), Server: u.serverURL(), Database: u.adminURL,
		Kubectl: u.plane.Kubectl(), Tenants: u.path("tenants"), Logs: u.path("logs"), Worker: u.workerCommand(),
	}
	if u.mail != nil {
		r.SMTP, r.Mailbox = reachable(u.mail.SMTPAddr()), "http://"+reachable(u.mail.WebAddr())
	}
	return r
}

// announce tells where everything is: a table for people, or one line of JSON for programs.
func (u *up) announce(out io.Writer) error {
	ready := u.ready()
	if u.options.output == "json" {
		return json.NewEncoder(out).Encode(ready)
	}
	return announceTable(out, ready, time.Since(u.begun), u.options.workers)
}

func announceTable(out io.Writer, r upReady, took time.Duration, workers int) error {
	var text strings.Builder
	fmt.Fprintf(&text, "\nTertulia is up, after %.1f s.\n\n", took.Seconds())
	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	row := func(name, value string) { _, _ = fmt.Fprintf(table, "  %s\t%s\n", name, value) }
	row("Kubeconfig", r.Kubeconfig)
	row("Kubectl", r.Kubectl)
	row("Server", r.Server)
	if r.Mailbox != "" {
		row("Mailbox", r.Mailbox)
		row("SMTP", r.SMTP)
	}
	row("Database", withoutPassword(r.Database))
	row("Tenants", r.Tenants)
	row("Logs", r.Logs)
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(&text, "\n  Look around:     export KUBECONFIG=%s; %s get crm -A\n", quote(r.Kubeconfig), quote(r.Kubectl))
	if workers == 0 {
		fmt.Fprintf(&text, "  Start a worker:  %s\n", r.Worker)
	}
	fmt.Fprintf(&text, "  Stop:            Ctrl-C\n\n")
	_, err := io.WriteString(out, text.String())
	return err
}

// withoutPassword is a database's address for a screen that others may see; --output json has all of it.
func withoutPassword(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return "as --database-url says"
	}
	return parsed.Redacted()
}
