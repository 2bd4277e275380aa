package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// printTables shows what kubectl shows.
func (d *demo) printTables(ctx context.Context) error {
	d.show.say("\n$ kubectl get crm --namespace %s\n", namespace)
	command := exec.CommandContext(ctx, d.up.ready.Kubectl, "--kubeconfig", d.up.ready.Kubeconfig, "get", "crm", "--namespace", namespace)
	command.Stdout, command.Stderr = d.show.out, d.show.out
	if err := command.Run(); err != nil {
		return fmt.Errorf("kubectl get crm: %w", err)
	}
	d.show.say("\nFrom manifests to delivered mail in %s, and to an answer to who complains in %s.", d.delivered, d.show.elapsed())
	return nil
}

const tour = `
Everything stays up. Look around:

  The mail         %[1]s
                   Open one: the greeting, the paragraph for club members and the products follow the person.
  In a terminal    export KUBECONFIG=%[2]s PATH=%[3]s:%[11]s:$PATH
                   kubectl config set-context --current --namespace %[4]s
                   kubectl tertulia status
                   kubectl get crm
                   kubectl explain campaign.spec

And try:

  Say no           In a mail, follow the link at its end and confirm. Nobody is asked for a password.
                   The page behind it leads to all that Velo writes for: %[5]s/policies/people.yaml declares that.
  Edit a segment   In %[5]s/segments/lapsed-club.yaml write 180d for 90d and save;
                   kubectl get segment lapsed-club --watch shows the count follow.
  Make a mistake   There, write contact.plam for contact.plan and save: kubectl describe segment lapsed-club
                   tells the place and the name you meant. The membership stays as it was.
  Send twice       kubectl delete campaign %[6]s
                   It comes back from its folder within half a minute, and nobody is mailed again.
  A new campaign   cp -r %[7]s %[9]s
                   sed -i 's/%[6]s/again/; s/maxRecipients: .*/maxRecipients: 100/' %[9]s/*.yaml
                   A third send, with texts of its own. Its bound is too small, so it is Held until you raise it. Then it leaves
                   out who had a newsletter today: %[5]s/policies/calm.yaml says so, and may be edited too.
  See it applied   tail -f %[10]s tells what was applied, what was not, and why.
  Listen           kubectl tertulia listen --tail shows what people say as they say it: they are being charged twice.
                   kubectl tertulia mentions 'cobrado dos veces', monitor show %[12]s and monitor incidents %[12]s tell more.
                   Now and then a verdict is wrong: mentions correct ID --sentiment neutral --by you
  A rule           kubectl get rules tells how many entries of win-back there are: %[13]s/win-back says what they do.
                   More of them, to copy and change, are beside it.
  Answer           kubectl tertulia inbox shows who waits; reply, assign, note and close do what they say.
                   kubectl get servicequeues tells whether what is promised is kept: %[14]s says what that is.
  More workers     In other terminals, as many as you like, and kill them as you like:
                   %[8]s

Ctrl-C stops everything; make demo goes on where it was; make clean forgets it.`

// printTour tells what to open and try next.
func (d *demo) printTour() {
	d.show.say(tour, d.up.ready.Mailbox, d.up.ready.Kubeconfig, filepath.Dir(d.up.ready.Kubectl), namespace, standingFolder,
		campaignName, filepath.Join(relative(d.up.merged), campaignName), d.up.ready.Worker,
		filepath.Join(relative(d.up.merged), "again"), relative(d.up.log), d.programs(), monitorName, rulesFolder,
		filepath.Join(serviceFolder, complaintName))
}

// programs is the folder of our own programs, kubectl's plugin among them.
func (d *demo) programs() string {
	path, err := filepath.Abs(d.program)
	if err != nil {
		path = d.program
	}
	return filepath.Dir(path)
}
