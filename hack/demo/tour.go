package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/local/binaries"
)

// kubectl finds the program: ours, of the API server's version, since a distribution's is often too old.
func kubectl(ctx context.Context) (string, error) {
	programs, err := binaries.Ensure(ctx, binaries.Options{})
	return programs.Kubectl, err
}

// printTables shows what kubectl shows.
func printTables(ctx context.Context, show *narrator, _ *cluster, up *upProcess, _ options) error {
	program, err := kubectl(ctx)
	if err != nil {
		return fmt.Errorf("find kubectl: %w", err)
	}
	show.say("\n$ kubectl get crm --namespace %s\n", namespace)
	command := exec.CommandContext(ctx, program, "--kubeconfig", up.ready.Kubeconfig, "get", "crm", "--namespace", namespace)
	command.Stdout, command.Stderr = show.out, show.out
	if err := command.Run(); err != nil {
		return fmt.Errorf("kubectl get crm: %w", err)
	}
	show.say("\nFrom manifests to delivered mail in %s.", show.elapsed())
	return nil
}

const tour = `
Everything stays up. Look around:

  The mail         %[1]s
                   Open one: the greeting, the paragraph for club members and the products follow the person.
  In a terminal    export KUBECONFIG=%[2]s PATH=%[3]s:$PATH
                   kubectl config set-context --current --namespace %[4]s
                   kubectl get crm
                   kubectl explain campaign.spec

And try:

  Say no           In a mail, follow the link at its end and confirm. Nobody is asked for a password.
  Edit a segment   In %[5]s/segments/lapsed-club.yaml write 180d for 90d and save;
                   kubectl get segment lapsed-club --watch shows the count follow.
  Make a mistake   There, write contact.plam for contact.plan: kubectl describe segment lapsed-club
                   tells the place and the name you meant. The old membership stays in force.
  Send again       kubectl delete campaign %[6]s
                   It comes back from its folder within seconds, and nobody is mailed twice.
  More workers     Stop this, and run: bin/tertulia up --data-dir %[7]s --workers 0
                       --manifests %[5]s --manifests %[8]s
                   It prints the command that starts one. Start several, kill them as you like.
  A new campaign   Copy %[9]s to another folder there, change metadata.name and spec.sendKey,
                   and save: that is a second send.

Ctrl-C stops everything; make demo goes on where it was; make clean forgets it.
`

// printTour tells what to open and try next.
func printTour(show *narrator, up *upProcess, o options) {
	tools := "DIR"
	if program, err := kubectl(context.Background()); err == nil {
		tools = filepath.Dir(program)
	}
	show.say(strings.TrimRight(tour, "\n"), up.ready.Mailbox, relative(up.ready.Kubeconfig), tools, namespace, baseFolder,
		campaignName, relative(o.dataDir), relative(up.merged), filepath.Join(relative(up.merged), campaignName))
}
