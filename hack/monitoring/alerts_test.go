package monitoring

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
)

// example is a course of things, a sample a minute from midnight, and what the alert makes of it.
type example struct {
	series string
	// at is when to look; the alert fires then, for these labels ("" for none), or not at all.
	at    time.Duration
	fires []string
}

const silent = ""

// examples has at least one course of things for each alert in which it fires, and one in which it must not.
var examples = map[string]map[string]example{
	"TertuliaLedgerSumBroken": {
		"one of two workers finds it": {`
			tertulia_ledger_balanced{tenant="velo", pod="a"} 1x10
			tertulia_ledger_balanced{tenant="velo", pod="b"} 1x4 0x10`, 10 * time.Minute, []string{`tenant="velo"`}},
		"it adds up": {`tertulia_ledger_balanced{tenant="velo"} 1x10`, 10 * time.Minute, nil},
	},
	"TertuliaTenantQuarantined": {
		"quarantined": {
			`tertulia_tenant_condition{object_namespace="velo", tenant="velo", condition="Quarantined", status="True", reason="LedgerBehind"} 1x5`,
			5 * time.Minute,
			[]string{`object_namespace="velo", tenant="velo"`},
		},
		"permitted": {
			`tertulia_tenant_condition{object_namespace="velo", tenant="velo", condition="Quarantined", status="False", reason="Permitted"} 1x5`,
			5 * time.Minute, nil,
		},
	},
	"TertuliaSendStalled": {
		"due, and nothing moves": {`
			tertulia_due_messages{tenant="velo", channel="news"} 0x4 500x40
			tertulia_channel_trouble{tenant="velo", channel="news"} 0x44
			tertulia_ledger_permitted{tenant="velo"} 1x44
			tertulia_messages_total{tenant="velo", channel="news", outcome="sent"} 0+10x5 60x40`, 30 * time.Minute, []string{`channel="news", tenant="velo"`}},
		"only one that was never offered": {`
			tertulia_due_messages{tenant="velo", channel="news"} 500x44
			tertulia_messages_total{tenant="velo", channel="news", outcome="undone"} 0+10x44`, 30 * time.Minute, []string{`channel="news", tenant="velo"`}},
		"a large send is worked off": {`
			tertulia_due_messages{tenant="velo", channel="news"} 90000-100x44
			tertulia_messages_total{tenant="velo", channel="news", outcome="sent"} 0+100x44`, 30 * time.Minute, nil},
		"another worker moves it": {`
			tertulia_due_messages{tenant="velo", channel="news", pod="a"} 500x44
			tertulia_messages_total{tenant="velo", channel="news", outcome="sent", pod="b"} 0+1x44`, 30 * time.Minute, nil},
		"the channel's trouble is told by its own alert": {`
			tertulia_due_messages{tenant="velo", channel="news"} 500x44
			tertulia_channel_trouble{tenant="velo", channel="news"} 1x44`, 30 * time.Minute, nil},
		"so is a quarantine": {`
			tertulia_due_messages{tenant="velo", channel="news"} 500x44
			tertulia_ledger_permitted{tenant="velo"} 0x44`, 30 * time.Minute, nil},
		"nothing is due": {`tertulia_due_messages{tenant="velo", channel="news"} 0x44`, 30 * time.Minute, nil},
		"for a few minutes": {`
			tertulia_due_messages{tenant="velo", channel="news"} 0x24 500x20
			tertulia_messages_total{tenant="velo", channel="news", outcome="sent"} 0+10x20 200x24`, 30 * time.Minute, nil},
	},
	"TertuliaChannelTrouble": {
		"for long":     {`tertulia_channel_trouble{tenant="velo", channel="news"} 1x20`, 20 * time.Minute, []string{`channel="news", tenant="velo"`}},
		"for a moment": {`tertulia_channel_trouble{tenant="velo", channel="news"} 0x10 1x10`, 20 * time.Minute, nil},
		"it works":     {`tertulia_channel_trouble{tenant="velo", channel="news"} 0x20`, 20 * time.Minute, nil},
		"on and off":   {`tertulia_channel_trouble{tenant="velo", channel="news"} 1x8 0 1x11`, 20 * time.Minute, nil},
		"of one worker": {`
			tertulia_channel_trouble{tenant="velo", channel="news", pod="a"} 1x20
			tertulia_channel_trouble{tenant="velo", channel="news", pod="b"} 0x20`, 20 * time.Minute, []string{`channel="news", tenant="velo"`}},
	},
	"TertuliaAmbiguousMessages": {
		"three more than an hour ago": {
			`tertulia_ambiguous_messages{tenant="velo", channel="news"} 2x80 5x10`, 90 * time.Minute, []string{`channel="news", tenant="velo"`},
		},
		"nobody measured an hour ago": {
			`tertulia_ambiguous_messages{tenant="velo", channel="news"} _x80 5x10`, 90 * time.Minute, []string{`channel="news", tenant="velo"`},
		},
		"no more than an hour ago": {`tertulia_ambiguous_messages{tenant="velo", channel="news"} 2x20 5x80`, 90 * time.Minute, nil},
		"another pod measures the same": {`
			tertulia_ambiguous_messages{tenant="velo", channel="news", pod="a"} 5x40
			tertulia_ambiguous_messages{tenant="velo", channel="news", pod="b"} _x40 5x60`, 90 * time.Minute, nil},
		"an old send does not count any more": {`tertulia_ambiguous_messages{tenant="velo", channel="news"} 5x80 0x10`, 90 * time.Minute, nil},
	},
	"TertuliaClicksLost": {
		"the database is away for longer than the buffer lasts": {
			`tertulia_engagements_dropped_total{tenant="velo", reason="full"} 0x5 1+200x3`, 8 * time.Minute, []string{`tenant="velo"`},
		},
		"a contact refuses to be tracked": {`tertulia_engagements_dropped_total{tenant="velo", reason="untracked"} 0x5 1+200x3`, 8 * time.Minute, nil},
		"long ago":                        {`tertulia_engagements_dropped_total{tenant="velo", reason="full"} 0x5 7x30`, 30 * time.Minute, nil},
	},
	"TertuliaSegmentsStale": {
		"for long":     {`tertulia_segment_staleness_seconds{tenant="velo"} 0+60x60`, 50 * time.Minute, []string{`tenant="velo"`}},
		"for a moment": {`tertulia_segment_staleness_seconds{tenant="velo"} 0x40 300x10`, 50 * time.Minute, nil},
	},
	"TertuliaSegmentsRepaired": {
		"some were wrong":   {`tertulia_segment_repaired_total{tenant="velo"} 0x5 3x30`, 20 * time.Minute, []string{`tenant="velo"`}},
		"hours ago":         {`tertulia_segment_repaired_total{tenant="velo"} 0x5 3x300`, 4 * time.Hour, nil},
		"nothing was wrong": {`tertulia_segment_repaired_total{tenant="velo"} 0x30`, 20 * time.Minute, nil},
	},
	"TertuliaMonitorsBehind": {
		"it stands still": {`
			tertulia_monitor_lag_seconds{tenant="velo", monitor="brand", pod="a"} 60+60x60
			tertulia_monitor_lag_seconds{tenant="velo", monitor="brand", pod="b"} 30+60x60`, 50 * time.Minute, []string{`monitor="brand", tenant="velo"`}},
		"mentions are waited for": {`tertulia_monitor_lag_seconds{tenant="velo", monitor="brand"} 600x60`, 50 * time.Minute, nil},
		"it catches up":           {`tertulia_monitor_lag_seconds{tenant="velo", monitor="brand"} 9000x5 60x55`, 50 * time.Minute, nil},
		"one worker has not measured since": {`
			tertulia_monitor_lag_seconds{tenant="velo", monitor="brand", pod="a"} 9000x60
			tertulia_monitor_lag_seconds{tenant="velo", monitor="brand", pod="b"} 60x60`, 50 * time.Minute, nil},
	},
	"TertuliaSentimentServerFailing": {
		"left alone by all": {`
			tertulia_sentiment_requests_total{tenant="velo", outcome="failed", pod="a"} 0+1x80
			tertulia_sentiment_requests_total{tenant="velo", outcome="resting", pod="b"} 0+20x80
			tertulia_sentiment_requests_total{tenant="velo", outcome="answered", pod="b"} 9x80`, 70 * time.Minute, []string{`tenant="velo"`}},
		"now and then": {`
			tertulia_sentiment_requests_total{tenant="velo", outcome="failed"} 0+1x80
			tertulia_sentiment_requests_total{tenant="velo", outcome="answered"} 0+50x80`, 70 * time.Minute, nil},
		"it answers again": {`
			tertulia_sentiment_requests_total{tenant="velo", outcome="failed"} 0+1x50 50x40
			tertulia_sentiment_requests_total{tenant="velo", outcome="answered"} 0x50 0+10x40`, 70 * time.Minute, nil},
		"nobody writes any more": {`tertulia_sentiment_requests_total{tenant="velo", outcome="failed"} 0+1x20 20x80`, 70 * time.Minute, nil},
	},
	"TertuliaInfluenceStale": {
		"for three nights": {`
			tertulia_influence_age_seconds{tenant="velo", monitor="brand", pod="a"} 259200+60x90
			tertulia_influence_age_seconds{tenant="velo", monitor="brand", pod="b"} 259230+60x90`, 80 * time.Minute, []string{`monitor="brand", tenant="velo"`}},
		"since last night": {`tertulia_influence_age_seconds{tenant="velo", monitor="brand"} 80000+60x90`, 80 * time.Minute, nil},
		"one worker has not measured since": {`
			tertulia_influence_age_seconds{tenant="velo", monitor="brand", pod="a"} 259200x90
			tertulia_influence_age_seconds{tenant="velo", monitor="brand", pod="b"} 600x90`, 80 * time.Minute, nil},
	},
	"TertuliaRulesBehind": {
		"nobody handles them": {`
			tertulia_rule_events_oldest_age_seconds{tenant="velo", pod="a"} 0+60x40
			tertulia_rule_events_oldest_age_seconds{tenant="velo", pod="b"} 5+60x40`, 30 * time.Minute, []string{`tenant="velo"`}},
		"a storm that passes": {`tertulia_rule_events_oldest_age_seconds{tenant="velo"} 0x10 400x5 0x30`, 20 * time.Minute, nil},
		"one worker has not measured since": {`
			tertulia_rule_events_oldest_age_seconds{tenant="velo", pod="a"} 900x40
			tertulia_rule_events_oldest_age_seconds{tenant="velo", pod="b"} 0x40`, 30 * time.Minute, nil},
	},
	"TertuliaEntriesStuck": {
		"nobody looks":          {`tertulia_rule_stuck{tenant="velo", rule="win-back"} 0x5 3x90`, 90 * time.Minute, []string{`rule="win-back", tenant="velo"`}},
		"somebody retried them": {`tertulia_rule_stuck{tenant="velo", rule="win-back"} 3x30 0x60`, 90 * time.Minute, nil},
		"one worker has not measured since": {`
			tertulia_rule_stuck{tenant="velo", rule="win-back", pod="a"} 3x90
			tertulia_rule_stuck{tenant="velo", rule="win-back", pod="b"} 0x90`, 90 * time.Minute, nil},
	},
	"TertuliaMessagesBehind": {
		"nobody threads them": {`
			tertulia_inbound_oldest_age_seconds{tenant="velo", pod="a"} 0+60x40
			tertulia_inbound_oldest_age_seconds{tenant="velo", pod="b"} 5+60x40`, 30 * time.Minute, []string{`tenant="velo"`}},
		"a storm that passes": {`tertulia_inbound_oldest_age_seconds{tenant="velo"} 0x10 400x5 0x30`, 20 * time.Minute, nil},
		"one worker has not measured since": {`
			tertulia_inbound_oldest_age_seconds{tenant="velo", pod="a"} 900x40
			tertulia_inbound_oldest_age_seconds{tenant="velo", pod="b"} 0x40`, 30 * time.Minute, nil},
	},
	"TertuliaTicketsBehind": {
		"nobody looks":       {`tertulia_tickets_tending_delay_seconds{tenant="velo"} 0+60x40`, 30 * time.Minute, []string{`tenant="velo"`}},
		"a queue was edited": {`tertulia_tickets_tending_delay_seconds{tenant="velo"} 0x10 400x5 0x30`, 20 * time.Minute, nil},
		"one worker has not measured since": {`
			tertulia_tickets_tending_delay_seconds{tenant="velo", pod="a"} 900x40
			tertulia_tickets_tending_delay_seconds{tenant="velo", pod="b"} 0x40`, 30 * time.Minute, nil},
	},
	"TertuliaOutboxBehind": {
		"an endpoint is down": {`tertulia_outbox_oldest_age_seconds{tenant="velo"} 0+60x90`, 80 * time.Minute, []string{`tenant="velo"`}},
		"for half an hour":    {`tertulia_outbox_oldest_age_seconds{tenant="velo"} 0+60x30 0x60`, 80 * time.Minute, nil},
		"one worker has not measured since": {`
			tertulia_outbox_oldest_age_seconds{tenant="velo", pod="a"} 9000x90
			tertulia_outbox_oldest_age_seconds{tenant="velo", pod="b"} 0x90`, 80 * time.Minute, nil},
	},
	"TertuliaPostingsAmbiguous": {
		"a mail without an answer": {`tertulia_outbox_ambiguous{tenant="velo", pod="a"} 1x60`, 50 * time.Minute, []string{`tenant="velo"`}},
		"somebody looked":          {`tertulia_outbox_ambiguous{tenant="velo", pod="a"} 1x20 0x40`, 50 * time.Minute, nil},
	},
	"TertuliaPostingsFailing": {
		"a network refuses": {
			`tertulia_outbox_postings_total{tenant="velo", channel="fediverse", outcome="failed"} 0+1x60`, 50 * time.Minute,
			[]string{`channel="fediverse", tenant="velo"`},
		},
		"one was too long": {`tertulia_outbox_postings_total{tenant="velo", channel="fediverse", outcome="failed"} 0x30 1x30`, 50 * time.Minute, nil},
		"they are tried":   {`tertulia_outbox_postings_total{tenant="velo", channel="fediverse", outcome="deferred"} 0+9x60`, 50 * time.Minute, nil},
	},
	"TertuliaRelayCertificateExpiring": {
		"within a week": {
			`tertulia_relay_certificate_expiry_timestamp_seconds{tenant="velo", channel="news"} 604800x30`, 20 * time.Minute, []string{`channel="news", tenant="velo"`},
		},
		"it has expired": {
			`tertulia_relay_certificate_expiry_timestamp_seconds{tenant="velo", channel="news"} 60x30`, 20 * time.Minute, []string{`channel="news", tenant="velo"`},
		},
		"one worker has seen the new one": {`
			tertulia_relay_certificate_expiry_timestamp_seconds{tenant="velo", channel="news", pod="a"} 604800x30
			tertulia_relay_certificate_expiry_timestamp_seconds{tenant="velo", channel="news", pod="b"} 8000000x30`, 20 * time.Minute, nil},
		"in three months": {`tertulia_relay_certificate_expiry_timestamp_seconds{tenant="velo", channel="news"} 8000000x30`, 20 * time.Minute, nil},
	},
	"TertuliaSourceFailing": {
		"revoked":      {`tertulia_source_trouble{tenant="velo", source="mastodon", reason="Unauthorized"} 1x60`, 50 * time.Minute, []string{`source="mastodon", tenant="velo"`}},
		"for a moment": {`tertulia_source_trouble{tenant="velo", source="mastodon", reason="Unreachable"} 1x20 _x40`, 50 * time.Minute, nil},
		"for another reason each time": {`
			tertulia_source_trouble{tenant="velo", source="mastodon", reason="Unreachable"} 1x20 _x40
			tertulia_source_trouble{tenant="velo", source="mastodon", reason="Malformed"} _x20 1x40`, 50 * time.Minute, []string{`source="mastodon", tenant="velo"`}},
		"throttled": {`tertulia_source_trouble{tenant="velo", source="mastodon", reason="Throttled"} 1x60`, 50 * time.Minute, nil},
	},
	"TertuliaMentionsLate": {
		"a database that is too slow": {`
			tertulia_mention_lag_seconds_bucket{tenant="velo", source="bluesky", le="16.384"} 0+1x60
			tertulia_mention_lag_seconds_bucket{tenant="velo", source="bluesky", le="65.536"} 0+10x60
			tertulia_mention_lag_seconds_bucket{tenant="velo", source="bluesky", le="+Inf"} 0+10x60`, 50 * time.Minute, []string{`source="bluesky", tenant="velo"`}},
		"at once": {`
			tertulia_mention_lag_seconds_bucket{tenant="velo", source="bluesky", le="0.256"} 0+10x60
			tertulia_mention_lag_seconds_bucket{tenant="velo", source="bluesky", le="+Inf"} 0+10x60`, 50 * time.Minute, nil},
		"nothing comes": {`
			tertulia_mention_lag_seconds_bucket{tenant="velo", source="bluesky", le="16.384"} 5x60
			tertulia_mention_lag_seconds_bucket{tenant="velo", source="bluesky", le="+Inf"} 9x60`, 50 * time.Minute, nil},
	},
	"TertuliaDatabaseUnavailable": {
		"for one of the processes": {`
			tertulia_database_up{tenant="velo", pod="a"} 1x10
			tertulia_database_up{tenant="velo", pod="b"} 1x2 0x10`, 10 * time.Minute, []string{`tenant="velo"`}},
		"a restart":  {`tertulia_database_up{tenant="velo"} 1x6 0x2 1x5`, 10 * time.Minute, nil},
		"it answers": {`tertulia_database_up{tenant="velo"} 1x10`, 10 * time.Minute, nil},
	},
	"TertuliaDatabaseReadOnly": {
		"writes fail": {
			`tertulia_database_failures_total{tenant="velo", reason="read_only"} 0x5 1+2x10`, 12 * time.Minute, []string{`tenant="velo"`},
		},
		"something else fails": {`tertulia_database_failures_total{tenant="velo", reason="unreachable"} 0x5 1+2x10`, 12 * time.Minute, nil},
		"long ago":             {`tertulia_database_failures_total{tenant="velo", reason="read_only"} 0x5 7x30`, 30 * time.Minute, nil},
	},
	"TertuliaDatabaseDiskFull": {
		"writes fail": {`tertulia_database_failures_total{tenant="velo", reason="disk_full"} 0x5 1+2x3`, 8 * time.Minute, []string{`tenant="velo"`}},
		"long ago":    {`tertulia_database_failures_total{tenant="velo", reason="disk_full"} 0x5 7x30`, 30 * time.Minute, nil},
	},
	"TertuliaClockSkew": {
		"ten minutes ahead": {
			`tertulia_clock_offset_seconds{tenant="velo", pod="a"} 600x10`, 10 * time.Minute, []string{`pod="a", tenant="velo"`},
		},
		"ten minutes behind": {
			`tertulia_clock_offset_seconds{tenant="velo", pod="a"} -600x10`, 10 * time.Minute, []string{`pod="a", tenant="velo"`},
		},
		"a slow network": {`tertulia_clock_offset_seconds{tenant="velo", pod="a"} -2x10`, 10 * time.Minute, nil},
	},
	"TertuliaOperatorDown": {
		"none is there":    {`tertulia_database_up{tenant="velo"} 1x20`, 20 * time.Minute, []string{silent}},
		"all stand by":     {`tertulia_operator_leading{pod="a"} 0x20`, 20 * time.Minute, []string{silent}},
		"one leads":        {`tertulia_operator_leading{pod="a"} 0x20` + "\n" + `tertulia_operator_leading{pod="b"} 1x20`, 20 * time.Minute, nil},
		"a rolling update": {`tertulia_operator_leading{pod="a"} 1x8 _x12` + "\n" + `tertulia_operator_leading{pod="b"} 0x10 1x10`, 20 * time.Minute, nil},
	},
	"TertuliaReconcileFailing": {
		"again and again": {`tertulia_reconcile_total{kind="Segment", outcome="failed"} 0+2x40`, 40 * time.Minute, []string{`kind="Segment"`}},
		"once":            {`tertulia_reconcile_total{kind="Segment", outcome="failed"} 0x20 1x20`, 40 * time.Minute, nil},
		"objects wait":    {`tertulia_reconcile_total{kind="Segment", outcome="waiting"} 0+20x40`, 40 * time.Minute, nil},
	},
	"TertuliaVersionSkew": {
		"an operator that was rolled back": {
			`tertulia_kind_unknown_fields{kind="Campaign", pod="a"} 0x4 3x50`, 50 * time.Minute, []string{`kind="Campaign"`},
		},
		"definitions that were not upgraded": {
			`tertulia_kind_missing_fields{kind="Campaign", pod="a"} 2x50`, 50 * time.Minute, []string{`kind="Campaign"`},
		},
		"an upgrade that goes on": {
			`tertulia_kind_unknown_fields{kind="Campaign", pod="a"} 0x4 3x10 0x40`, 50 * time.Minute, nil,
		},
	},
	"TertuliaTenantNotReady": {
		"it stays so": {
			`tertulia_tenant_condition{object_namespace="velo", tenant="velo", condition="Ready", status="False", reason="MigrationFailed"} 1x20`,
			20 * time.Minute,
			[]string{`object_namespace="velo", reason="MigrationFailed", tenant="velo"`},
		},
		"another condition is False": {
			`tertulia_tenant_condition{object_namespace="velo", tenant="velo", condition="RuntimeRole", status="False", reason="OwnerRuns"} 1x20`,
			20 * time.Minute, nil,
		},
		"it begins": {`
			tertulia_tenant_condition{object_namespace="velo", tenant="velo", condition="Ready", status="False", reason="Migrating"} 1x5 _x15
			tertulia_tenant_condition{object_namespace="velo", tenant="velo", condition="Ready", status="True", reason="InForce"} _x5 1x15`, 20 * time.Minute, nil},
	},
	"TertuliaWorkersMissing": {
		"the image cannot be pulled": {
			`tertulia_tenant_condition{object_namespace="velo", tenant="velo", condition="WorkloadsReady", status="False", reason="ImageCannotBePulled"} 1x20`,
			20 * time.Minute,
			[]string{`object_namespace="velo", reason="ImageCannotBePulled", tenant="velo"`},
		},
		"a rollout": {`
			tertulia_tenant_condition{object_namespace="velo", tenant="velo", condition="WorkloadsReady", status="False", reason="RollingOut"} 1x5 _x15
			tertulia_tenant_condition{object_namespace="velo", tenant="velo", condition="WorkloadsReady", status="True", reason="Running"} _x5 1x15`, 20 * time.Minute, nil},
		"credentials have an alert of their own": {
			`tertulia_tenant_condition{object_namespace="velo", tenant="velo", condition="WorkloadsReady", status="False", reason="CredentialsNotYetInUse"} 1x20`,
			20 * time.Minute, nil,
		},
	},
	"TertuliaCredentialsNotInUse": {
		"for long": {
			`tertulia_tenant_condition{object_namespace="velo", tenant="velo", condition="WorkloadsReady", status="False", reason="CredentialsNotYetInUse"} 1x40`,
			40 * time.Minute,
			[]string{`object_namespace="velo", tenant="velo"`},
		},
		"as long as a kubelet takes": {
			`tertulia_tenant_condition{object_namespace="velo", tenant="velo", condition="WorkloadsReady", status="False", reason="CredentialsNotYetInUse"} 1x3 _x37`,
			40 * time.Minute, nil,
		},
	},
	"TertuliaNamespaceStuckTerminating": {
		"for long": {`
			tertulia_deletion_oldest_age_seconds{object_namespace="velo", kind="CRMTenant"} 0+60x30
			tertulia_deletion_oldest_age_seconds{object_namespace="velo", kind="Campaign"} 0+60x30`, 30 * time.Minute, []string{`object_namespace="velo"`}},
		"as long as it takes": {`tertulia_deletion_oldest_age_seconds{object_namespace="velo", kind="Campaign"} 0+60x5 _x25`, 30 * time.Minute, nil},
	},
}

func TestAlertsFireAndDoNotFire(t *testing.T) {
	known := map[string]bool{}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		known[r.Alert] = true
		fires, quiet := false, false
		for name, e := range examples[r.Alert] {
			fires, quiet = fires || len(e.fires) > 0, quiet || len(e.fires) == 0
			t.Run(r.Alert+"/"+name, func(t *testing.T) {
				got := firing(t, r, e)
				want := slices.Clone(e.fires)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("it fires for %q, want %q", got, want)
				}
			})
		}
		if !fires || !quiet {
			t.Errorf("alert %s: there must be an example in which it fires and one in which it does not", r.Alert)
		}
	}
	for name := range examples {
		if !known[name] {
			t.Errorf("there are examples of %s, and no such alert", name)
		}
	}
}

// firing evaluates an alert every half minute from midnight on, as Prometheus does, and tells for which labels it fires in the end:
// those for which its expression has held without a gap for as long as the rule says.
func firing(t *testing.T, rule rulefmt.Rule, e example) []string {
	t.Helper()
	var load strings.Builder
	load.WriteString("load 1m\n")
	for line := range strings.Lines(strings.TrimSpace(e.series)) {
		load.WriteString("  " + strings.TrimSpace(line) + "\n")
	}
	storage := promqltest.LoadedStorage(t, load.String())
	t.Cleanup(func() { _ = storage.Close() })
	engine := promqltest.NewTestEngine(t, false, 0, 100_000)
	const every = 30 * time.Second
	since := map[string]time.Time{}
	end := time.Unix(0, 0).Add(e.at)
	for now := time.Unix(0, 0); !now.After(end); now = now.Add(every) {
		query, err := engine.NewInstantQuery(context.Background(), storage, nil, rule.Expr, now)
		if err != nil {
			t.Fatal(err)
		}
		result, err := query.Exec(context.Background()).Vector()
		if err != nil {
			t.Fatal(err)
		}
		holds := map[string]bool{}
		for _, sample := range result {
			key := describe(sample)
			holds[key] = true
			if _, ok := since[key]; !ok {
				since[key] = now
			}
		}
		maps.DeleteFunc(since, func(key string, _ time.Time) bool { return !holds[key] })
		query.Close()
	}
	var fires []string
	for key, from := range since {
		if end.Sub(from) >= time.Duration(rule.For) {
			fires = append(fires, key)
		}
	}
	slices.Sort(fires)
	return fires
}

// describe writes the labels of a sample, without the name of its metric.
func describe(s promql.Sample) string {
	var parts []string
	for name, value := range s.Metric.Map() {
		if name != model.MetricNameLabel {
			parts = append(parts, fmt.Sprintf("%s=%q", name, value))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
