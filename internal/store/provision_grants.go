package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// access is what the runtime role may do with a relation of our schema: privileges on the whole of it, and an update of
// single columns.
type access struct {
	privileges []string
	update     []string // columns
}

var (
	readOnly  = access{privileges: []string{"SELECT"}}
	appended  = access{privileges: []string{"INSERT", "SELECT", "UPDATE"}}
	data      = access{privileges: []string{"DELETE", "INSERT", "SELECT", "UPDATE"}}
	queued    = access{privileges: []string{"DELETE", "SELECT", "TRUNCATE"}}
	numbering = access{privileges: []string{"USAGE"}}
)

// runtimeAccess says for every relation of the schema what workers and servers may do. They read configuration and
// write back the few columns in which they report. Keys of the ledger are never deleted. Partitions are not named: a
// statement on their parent needs no right on them, and nobody writes them directly.
var runtimeAccess = map[string]access{
	"schema_version":  readOnly,
	"tenant":          readOnly,
	"secret_key":      readOnly,
	"attribute":       readOnly,
	"event_type":      readOnly,
	"template":        readOnly,
	"send_policy":     readOnly,
	"consent_policy":  readOnly,
	"consent_text":    readOnly,
	"purpose":         readOnly,
	"send_permit":     readOnly,
	"ledger_identity": readOnly,
	"channel": {privileges: []string{"SELECT"}, update: []string{
		"account", "account_id", "returns_trouble", "takes", "trouble", "trouble_since",
	}},
	"segment": {privileges: []string{"SELECT"}, update: []string{
		"build_awaits", "build_took", "building_since", "built_at", "built_digest", "changed_at", "members", "refresh_asked_at", "repaired", "repaired_at",
		"verified_at", "verified_to",
	}},
	"quarantine": {privileges: []string{"SELECT"}, update: []string{
		"continued", "continued_all", "release_reason", "released_at", "released_by", "released_token",
	}},
	// Pictures are declared by the operator; which posts are on their networks is never forgotten.
	"publication_image": readOnly,
	"publication_part":  appended,

	"send_hold":    appended,
	"send_command": appended,
	"send": {privileges: []string{"INSERT", "SELECT"}, update: []string{
		"audience", "basis", "deadline", "decision", "finished_at", "frozen_at", "message", "next_occurrence", "starts_at", "state", "winner",
	}},

	"contact":              data,
	"identifier":           data,
	"identifier_link":      data,
	"identifier_link_log":  {privileges: []string{"INSERT", "SELECT"}, update: []string{"revoked_at", "revoked_why"}},
	"contact_record":       data,
	"contact_record_event": data,
	"contact_decision":     {privileges: []string{"INSERT", "SELECT"}},
	"contact_change":       {privileges: []string{"INSERT", "SELECT"}},
	"record_type":          {privileges: []string{"SELECT"}, update: []string{"settled_to"}},
	"suggestion":           data,
	"suggestion_due":       data,
	"suggestion_key":       data,
	"suggestion_profile":   data,
	"suggestion_state":     {privileges: []string{"SELECT"}, update: []string{"scan_after"}},
	"nickname":             readOnly,
	"account":              data,
	"account_identifier":   data,
	"account_membership":   data,
	"consent":              data,
	"suppression":          data,
	"refusal":              data,
	"consent_history":      {privileges: []string{"DELETE", "INSERT", "SELECT"}},
	"consent_request":      data,
	"event":                data,
	"event_key":            data,
	"segment_member":       data,
	"segment_watch":        readOnly,
	"segment_use":          readOnly,
	"segment_boundary":     {privileges: []string{"SELECT"}, update: []string{"swept_until"}},
	"segment_queue":        {privileges: []string{"SELECT"}, update: []string{"newest"}},
	"segment_change":       {privileges: []string{"INSERT", "SELECT"}},
	"segment_change_0":     queued,
	"segment_change_1":     queued,
	"segment_touched":      {privileges: []string{"DELETE", "INSERT", "SELECT"}},
	"segment_tally":        appended,
	"segment_event":        {privileges: []string{"DELETE", "INSERT", "SELECT"}},
	"segment_wanted":       readOnly,
	"monitor":              {privileges: []string{"SELECT"}, update: []string{"answers_to"}},
	"topic":                {privileges: []string{"SELECT"}, update: []string{"match_again", "matched_to"}},
	"topic_version":        readOnly,
	"monitor_tally":        data,
	"monitor_detector":     data,
	"incident":             data,
	"incident_event":       {privileges: []string{"INSERT", "SELECT"}},
	"mention_response":     data,
	"influence_cursor":     {privileges: []string{"SELECT"}, update: []string{"added_to"}},
	"influence_topic":      data,
	"influence_edge":       data,
	"influence_score":      {privileges: []string{"DELETE", "INSERT", "SELECT"}},
	"ledger":               appended,
	"send_chunk":           appended,
	"send_tally":           appended,
	"status_change":        data,
	"returned":             data,
	"hook_token":           data,
	"returned_tally":       appended,
	"soft_bounce":          data,
	"mailbox_cursor":       appended,
	"receiver":             {privileges: []string{"INSERT", "SELECT"}},
	"receiving_domain":     appended,
	"pace":                 data,
	"link":                 {privileges: []string{"INSERT", "SELECT"}},
	"process":              data,
	"engagement":           {privileges: []string{"INSERT", "SELECT"}},
	"engagement_seen":      appended,
	"engagement_tally":     appended,
	"engagement_flush":     data,
	"engaged":              appended,

	"automation_rule": {privileges: []string{"SELECT"}, update: []string{
		"move_after", "next_at", "trouble", "trouble_last", "trouble_of", "trouble_since",
	}},
	"automation_version":   readOnly,
	"automation_revision":  readOnly,
	"automation_listen":    readOnly,
	"automation_entry":     data,
	"automation_pass":      data,
	"automation_minute":    data,
	"automation_tally":     appended,
	"domain_event_watch":   readOnly,
	"domain_event_wanted":  readOnly,
	"domain_event_side":    {privileges: []string{"SELECT"}, update: []string{"newest"}},
	"domain_event_queue":   {privileges: []string{"INSERT", "SELECT"}},
	"domain_event_queue_0": queued,
	"domain_event_queue_1": queued,
	"outbox":               data,
	"import_run":           data,
	"outbox_part":          data,
	"api_token":            {privileges: []string{"INSERT", "SELECT"}, update: []string{"revoked_at"}},

	"service_queue":      {privileges: []string{"SELECT"}, update: []string{"last_given", "trouble", "trouble_since"}},
	"queue_agent":        {privileges: []string{"SELECT"}, update: []string{"given_at"}},
	"service_tally":      appended,
	"conversation":       data,
	"conversation_key":   data,
	"conversation_event": {privileges: []string{"DELETE", "INSERT", "SELECT"}},
	"message":            data,
	"message_intake":     data,
	"own_post":           {privileges: []string{"DELETE", "INSERT", "SELECT"}},
	"note":               {privileges: []string{"DELETE", "INSERT", "SELECT"}},
	"ticket":             data,
	"ticket_event":       {privileges: []string{"DELETE", "INSERT", "SELECT"}},

	"social_source": readOnly,
	"social_source_state": {privileges: []string{"SELECT"}, update: []string{
		"cursor", "epoch", "failures", "gaps", "hooked_at", "leased_until", "listened_at", "moved", "next_at", "read_at", "rejected",
		"stored", "stored_at", "told_at", "told_stored", "trouble", "trouble_message", "trouble_since", "worker",
	}},
	"source_gap":       {privileges: []string{"DELETE", "INSERT", "SELECT"}},
	"author":           data,
	"mention":          data,
	"mention_source":   {privileges: []string{"DELETE", "INSERT", "SELECT"}},
	"mention_topic":    data,
	"mention_account":  {privileges: []string{"DELETE", "INSERT", "SELECT"}},
	"mention_media":    {privileges: []string{"DELETE", "INSERT", "SELECT"}},
	"mention_revision": {privileges: []string{"DELETE", "INSERT", "SELECT"}},

	"sentiment_model":    data,
	"mention_correction": {privileges: []string{"DELETE", "INSERT", "SELECT"}},

	"contact_id_seq":             numbering,
	"consent_history_id_seq":     numbering,
	"consent_request_id_seq":     numbering,
	"identifier_id_seq":          numbering,
	"identifier_link_log_id_seq": numbering,
	"contact_decision_id_seq":    numbering,
	"contact_change_id_seq":      numbering,
	"segment_event_id_seq":       numbering,
	"suggestion_id_seq":          numbering,
	"account_id_seq":             numbering,
	"suggestion_due_id_seq":      numbering,
	"event_id_seq":               numbering,
	"receiver_id_seq":            numbering,
	"source_gap_id_seq":          numbering,
	"author_id_seq":              numbering,
	"mention_id_seq":             numbering,
	"mention_revision_id_seq":    numbering,
	"mention_correction_id_seq":  numbering,
	"link_id_seq":                numbering,
	"incident_id_seq":            numbering,
	"incident_event_id_seq":      numbering,
	"automation_entry_id_seq":    numbering,
	"outbox_id_seq":              numbering,
	"service_number":             numbering,
	"conversation_id_seq":        numbering,
	"conversation_event_id_seq":  numbering,
	"message_id_seq":             numbering,
	"note_id_seq":                numbering,
	"ticket_id_seq":              numbering,
	"ticket_event_id_seq":        numbering,
}

// grant is one right: a privilege on a relation, or on one of its columns.
type grant struct {
	relation, privilege, column string
}

func (g grant) compare(o grant) int {
	return strings.Compare(g.relation+" "+g.privilege+" "+g.column, o.relation+" "+o.privilege+" "+o.column)
}

// EnsureGrants makes the rights of the runtime role exactly those of runtimeAccess, as the database's owner. It writes
// only what differs. Call it after every migration.
func (db *DB) EnsureGrants(ctx context.Context, runtime string) error {
	relations, have, err := db.loadGrants(ctx, runtime)
	if err != nil {
		return err
	}
	give, take := planGrants(runtimeAccess, relations, have)
	return db.InTx(ctx, func(tx pgx.Tx) error {
		if err := ensureDatabaseGrants(ctx, tx, runtime); err != nil {
			return err
		}
		for _, g := range give {
			if _, err := tx.Exec(ctx, "grant "+g.clause()+" to "+sqlName(runtime)); err != nil {
				return fmt.Errorf("grant %s on %s: %w", g.privilege, g.relation, err)
			}
		}
		for _, g := range take {
			if _, err := tx.Exec(ctx, "revoke "+g.clause()+" from "+sqlName(runtime)); err != nil {
				return fmt.Errorf("revoke %s on %s: %w", g.privilege, g.relation, err)
			}
		}
		return nil
	})
}

func (g grant) clause() string {
	what := g.privilege
	if g.column != "" {
		what += " (" + sqlName(g.column) + ")"
	}
	if g.privilege == "USAGE" {
		return what + " on sequence " + sqlName(g.relation)
	}
	return what + " on " + sqlName(g.relation)
}

// ensureDatabaseGrants lets the runtime role connect, use our schema and make temporary tables (imports stage rows in them).
func ensureDatabaseGrants(ctx context.Context, tx pgx.Tx, runtime string) error {
	var database string
	var connect, usage bool
	err := tx.QueryRow(ctx, `select current_database(),
			(select count(*) = 2 from pg_database d, aclexplode(d.datacl) a
			 where d.datname = current_database() and a.grantee = $1::regrole and a.privilege_type in ('CONNECT', 'TEMPORARY')),
			exists(select from pg_namespace n, aclexplode(n.nspacl) a
			 where n.nspname = $2 and a.grantee = $1::regrole and a.privilege_type = 'USAGE')`,
		sqlName(runtime), Schema).Scan(&database, &connect, &usage)
	if err != nil {
		return fmt.Errorf("read the rights of role %s: %w", runtime, err)
	}
	if !connect {
		if _, err := tx.Exec(ctx, "grant connect, temporary on database "+sqlName(database)+" to "+sqlName(runtime)); err != nil {
			return fmt.Errorf("let role %s connect: %w", runtime, err)
		}
	}
	if !usage {
		if _, err := tx.Exec(ctx, "grant usage on schema "+sqlName(Schema)+" to "+sqlName(runtime)); err != nil {
			return fmt.Errorf("let role %s use the schema: %w", runtime, err)
		}
	}
	return nil
}

// loadGrants reads which relations our schema has, and which rights on them the role was given.
func (db *DB) loadGrants(ctx context.Context, role string) (relations []string, have []grant, err error) {
	rows, err := db.Pool.Query(ctx, "select relname from pg_class where relnamespace = $1::regnamespace and relkind in ('r', 'p', 'S', 'v')", Schema)
	if err != nil {
		return nil, nil, fmt.Errorf("read the relations: %w", err)
	}
	if relations, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, nil, fmt.Errorf("read the relations: %w", err)
	}
	rows, err = db.Pool.Query(ctx, `
		select c.relname, a.privilege_type, ''
		from pg_class c, aclexplode(c.relacl) a
		where c.relnamespace = $1::regnamespace and a.grantee = $2::regrole
		union all
		select c.relname, a.privilege_type, t.attname
		from pg_class c join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) a
		where c.relnamespace = $1::regnamespace and not t.attisdropped and a.grantee = $2::regrole`, Schema, sqlName(role))
	if err != nil {
		return nil, nil, fmt.Errorf("read the rights of role %s: %w", role, err)
	}
	have, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (g grant, err error) {
		err = row.Scan(&g.relation, &g.privilege, &g.column)
		return g, err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the rights of role %s: %w", role, err)
	}
	return relations, have, nil
}

// planGrants tells which rights to give and which to take. Relations that a newer or older schema lacks are left out.
func planGrants(want map[string]access, relations []string, have []grant) (give, take []grant) {
	wanted, held := map[grant]bool{}, map[grant]bool{}
	for _, g := range have {
		held[g] = true
	}
	for _, relation := range slices.Sorted(maps.Keys(want)) {
		if !slices.Contains(relations, relation) {
			continue
		}
		for _, privilege := range want[relation].privileges {
			wanted[grant{relation: relation, privilege: privilege}] = true
		}
		for _, column := range want[relation].update {
			wanted[grant{relation: relation, privilege: "UPDATE", column: column}] = true
		}
	}
	for g := range wanted {
		if !held[g] {
			give = append(give, g)
		}
	}
	for g := range held {
		if !wanted[g] {
			take = append(take, g)
		}
	}
	slices.SortFunc(give, grant.compare)
	slices.SortFunc(take, grant.compare)
	return give, take
}
