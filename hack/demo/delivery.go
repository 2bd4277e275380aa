package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	rules "github.com/tertulia-crm/tertulia/internal/campaign"
)

// sendFirst merges the first campaign and watches it.
func (d *demo) sendFirst(ctx context.Context) error {
	_, err := d.send(ctx, campaignName)
	return err
}

// sendLater merges another campaign of the same day, of which a policy leaves out whoever has had the first.
func (d *demo) sendLater(ctx context.Context) error {
	status, err := d.send(ctx, laterCampaign)
	if err != nil || !d.merged[campaignName] { // the first may have been sent on another day
		return err
	}
	for _, skipped := range status.SkippedByReason {
		if skipped.Reason == string(rules.FrequencyCap) && skipped.Count > 0 {
			return nil
		}
	}
	return fmt.Errorf("campaign/%s was sent to people who have had campaign/%s today: %s/policies/calm.yaml should leave them out",
		laterCampaign, campaignName, standingFolder)
}

// send merges a campaign and watches it until it has settled.
func (d *demo) send(ctx context.Context, name string) (v1alpha1.CampaignStatus, error) {
	if err := d.merge(pullRequests, name); err != nil {
		return v1alpha1.CampaignStatus{}, err
	}
	return d.awaitDelivery(ctx, name)
}

// merge copies a folder of manifests to where `up` watches, as merging its pull request would.
func (d *demo) merge(folder, name string) error {
	target := filepath.Join(d.up.merged, name)
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		d.show.say("• %s was merged by an earlier run: nothing is sent twice", relative(target))
		return err
	}
	pullRequest := filepath.Join(folder, name)
	d.show.begin("Merging the pull request: %s", pullRequest)
	// A folder appears whole: it is copied beside and renamed.
	beside := filepath.Join(filepath.Dir(d.up.merged), "."+name)
	if err := os.RemoveAll(beside); err != nil {
		return fmt.Errorf("merge %s: %w", name, err)
	}
	if err := os.CopyFS(beside, os.DirFS(pullRequest)); err != nil {
		return fmt.Errorf("merge %s: %w", name, err)
	}
	if err := os.Rename(beside, target); err != nil {
		return fmt.Errorf("merge %s: %w", name, err)
	}
	d.merged[name] = true
	d.show.done("now in %s, which `tertulia up` watches", relative(target))
	return nil
}

// awaitDelivery watches a campaign until it has settled.
func (d *demo) awaitDelivery(ctx context.Context, name string) (v1alpha1.CampaignStatus, error) {
	d.show.begin("Sending %s", name)
	progress := d.show.bar(0, "messages")
	var campaign v1alpha1.Campaign
	err := await(ctx, func(ctx context.Context) (string, error) {
		err := d.velo.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &campaign)
		if apierrors.IsNotFound(err) {
			return "campaign/" + name + " has not been applied", nil
		}
		if err != nil {
			return "", fmt.Errorf("read the campaign: %w", err)
		}
		if missing, err := notReady(&campaign); err != nil || missing != "" {
			return missing, err
		}
		if planned := count(campaign.Status.Planned); planned > 0 {
			progress.ChangeMax64(planned)
			_ = progress.Set64(planned - count(campaign.Status.Pending)) // drawing may fail, sending goes on
		}
		return unfinished(&campaign)
	})
	if err != nil {
		return campaign.Status, fmt.Errorf("send the campaign: %w", err)
	}
	_ = progress.Finish()
	s := campaign.Status
	d.show.done("%s of %s sent, %s skipped%s", thousands(count(s.Sent)), thousands(count(s.Planned)), thousands(count(s.Skipped)), reasons(s.SkippedByReason))
	return s, nil
}

// unfinished says what a campaign still waits for; a phase that it will not leave by itself is an error.
func unfinished(c *v1alpha1.Campaign) (string, error) {
	switch c.Status.Phase {
	case v1alpha1.CampaignCompleted:
		return "", nil
	case v1alpha1.CampaignHeld, v1alpha1.CampaignExpired, v1alpha1.CampaignPaused:
		return "", fmt.Errorf("it is %s: kubectl describe campaign -n %s %s tells why", c.Status.Phase, namespace, c.Name)
	}
	return fmt.Sprintf("it is %s with %d messages pending", c.Status.Phase, count(c.Status.Pending)), nil
}

func reasons(skips []v1alpha1.SkipCount) string {
	text := ""
	for i, s := range skips {
		separator := ", "
		if i == 0 {
			separator = ": "
		}
		text += fmt.Sprintf("%s%s %s", separator, s.Reason, thousands(s.Count))
	}
	return text
}

// count reads a number that a status may not have yet.
func count(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
