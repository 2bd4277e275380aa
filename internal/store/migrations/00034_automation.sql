-- +goose Up

-- Rules that act once: what they listen to is noted by triggers, handled by workers, and what comes of it stands in entries.
create table automation_rule (
    id            bigint      generated always as identity primary key,
    name          text        not null unique,
    version       int         not null default 0, -- the one in force, of automation_version
    suspended     boolean     not null default false,
    dormant_since timestamptz,                    -- its object was deleted then
    next_at       timestamptz,                    -- of a schedule: when it comes next; of a date: until when everybody's was looked at
    trouble       text,                           -- why it does not do all that it should, in words for an author
    trouble_since timestamptz
);

-- What a rule said. Entries end on the version that they began with, unless the rule moves them.
create table automation_version (
    rule_id    bigint      not null references automation_rule on delete cascade,
    version    int         not null,
    definition jsonb       not null,
    digest     text        not null,
    saved_at   timestamptz not null default now(),
    primary key (rule_id, version)
);

-- It rises whenever other versions are in force: workers read them again.
create table automation_revision (
    singleton boolean primary key default true check (singleton),
    revision  bigint  not null default 1
);
insert into automation_revision default values;

-- What can be listened to, as a number.
create table domain_event_watch (
    id    int  generated always as identity primary key,
    event text not null, -- as rules name it; 'event' of an event by name
    name  text not null, -- of the event, of the segment, of the rule whose schedule or date it is
    edits boolean not null default false, -- of a segment: also what its definition changed
    unique (event, name, edits)
);

-- What the versions of rules listen to: by their trigger, or where an entry waits.
create table automation_listen (
    rule_id  bigint  not null references automation_rule on delete cascade,
    version  int     not null,
    watch_id int     not null references domain_event_watch,
    awaited  boolean not null,
    primary key (rule_id, version, watch_id, awaited)
);

-- What happened that somebody listens to. One side is written while the other is worked off and then truncated. Nothing of a person stands
-- here: what the event was is read where it stands.
create table domain_event_queue (
    side       smallint    not null,
    shard      smallint    not null,
    watch_id   int         not null,
    contact_id bigint,               -- null where it is nobody's, or not known before it is looked up
    ref        bigint      not null, -- of the row that it is about
    ref2       bigint,               -- of a click: the recipient's number in the send, and the link; of an event: its identifier, and when it was
    ref3       bigint,
    detail     text,                 -- of an unsubscription: the purpose
    at         timestamptz not null default clock_timestamp()
) partition by list (side);
create table domain_event_queue_0 partition of domain_event_queue for values in (0);
create table domain_event_queue_1 partition of domain_event_queue for values in (1);
create index domain_event_queue_0_shard on domain_event_queue_0 (shard, watch_id);
create index domain_event_queue_1_shard on domain_event_queue_1 (shard, watch_id);
create table domain_event_side (
    singleton boolean  primary key default true check (singleton),
    newest    smallint not null default 0
);
insert into domain_event_side default values;

-- Who goes through a rule, and how far they are.
create table automation_entry (
    id         bigint      generated always as identity primary key,
    public_id  uuid        not null default gen_random_uuid() unique,
    rule_id    bigint      not null,
    version    int         not null,
    contact_id bigint,
    key        text        not null, -- one active entry for each, within the rule
    watch_id   int,                  -- of the event that began it; null for one that another rule started
    ref        bigint,
    ref2       bigint,
    ref3       bigint,
    detail     text,
    cause      bigint,               -- the entry that led to it
    depth      int         not null default 0,
    status     text        not null check (status in ('Active', 'Waiting', 'Stuck', 'Ended', 'Exited')),
    state      jsonb       not null, -- where it is, as the rule's plan says
    wake_at    timestamptz,
    awaits     int,                  -- what is listened to for it
    began_at   timestamptz not null,
    since      timestamptz not null, -- in its status
    acted_at   timestamptz,          -- when it last did something to its contact
    attempts   int         not null default 0,
    reason     text,
    path       jsonb       not null default '[]' -- what it did: [{"step", "at", "what"}]
) with (fillfactor = 80);
create index automation_entry_wake on automation_entry (rule_id, wake_at) where status = 'Waiting';
create index automation_entry_awaits on automation_entry (contact_id, awaits) where status = 'Waiting' and awaits is not null;
create index automation_entry_contact on automation_entry (contact_id) where contact_id is not null;
create index automation_entry_stuck on automation_entry (rule_id, since) where status = 'Stuck';
create index automation_entry_over on automation_entry (since) where status in ('Ended', 'Exited');
create index automation_entry_newest on automation_entry (rule_id, id);

-- Who may not enter a rule again, or not while they are in it. It outlives the entry.
create table automation_pass (
    key        text        not null,
    rule_id    bigint      not null,
    entered_at timestamptz not null,
    active     boolean     not null,
    primary key (key, rule_id)
) with (fillfactor = 80);
create index automation_pass_over on automation_pass (rule_id, entered_at) where not active;

-- How many entries of a rule with a bound began in a minute, or are to begin.
create table automation_minute (
    rule_id bigint      not null,
    minute  timestamptz not null,
    n       bigint      not null,
    primary key (rule_id, minute)
);

-- Counts, so that nobody counts entries. A rule has several rows, so that workers do not wait for one another.
create table automation_tally (
    rule_id bigint   not null,
    slot    smallint not null,
    waiting bigint   not null default 0,
    stuck   bigint   not null default 0,
    fired   bigint   not null default 0,
    told    boolean  not null default false,
    primary key (rule_id, slot)
) with (fillfactor = 50);
create index automation_tally_untold on automation_tally (rule_id) where not told;

-- What leaves for somewhere that is no mailbox, at least once, with an id that stays the same.
create table outbox (
    id           bigint      generated always as identity primary key,
    kind         text        not null, -- Notify
    channel      text        not null,
    dedup        text        not null unique, -- what it is, and the id under which it is posted
    rule_id      bigint,
    entry_id     bigint,
    step         text,
    body         jsonb       not null,
    state        text        not null default 'pending' check (state in ('pending', 'sent', 'failed')),
    epoch        int         not null default 0,
    attempts     int         not null default 0,
    made_at      timestamptz not null,
    not_before   timestamptz not null,
    leased_until timestamptz,
    settled_at   timestamptz,
    reply        text
) with (fillfactor = 80);
create index outbox_due on outbox (not_before) where state = 'pending';
create index outbox_over on outbox (settled_at) where state <> 'pending';
create index outbox_entry on outbox (entry_id) where entry_id is not null;

-- A send of a rule has a row for each entry that comes to its step: it is looked up by contact whichever entry it was.
create index ledger_entry on ledger (send_id, contact_id) where step <> '';

---------------------------------------------------------------------------------------------------------------- noticing

-- domain_event_body is the body of a trigger that notes events, for what is listened to at the moment. rows selects watch_id, contact_id, ref, ref2,
-- ref3 and detail, with %s for the list of what is listened to: (name, edits, id). Without any it does nothing.
-- +goose StatementBegin
create function domain_event_body(events text[], rows text) returns text
    language plpgsql as $f$
declare
    watches text;
begin
    select string_agg(format('(%L::text, %L::text, %L::boolean, %s)', w.event, w.name, w.edits, w.id), ', ' order by w.id) into watches
    from tertulia.domain_event_watch w where w.event = any (events) and exists (select from tertulia.domain_event_wanted u where u.watch_id = w.id);
    if watches is null then
        return 'begin return null; end';
    end if;
    return format($b$
begin
    insert into tertulia.domain_event_queue (side, shard, watch_id, contact_id, ref, ref2, ref3, detail)
    select (select newest from tertulia.domain_event_side), (coalesce(d.contact_id, d.ref) & 15)::smallint, d.*
    from (%s) d (watch_id, contact_id, ref, ref2, ref3, detail);
    return null;
end $b$, format(rows, format('(values %s) w (event, name, edits, id)', watches)));
end $f$;
-- +goose StatementEnd

-- What rules in force listen to.
create view domain_event_wanted as
    select distinct l.watch_id from automation_listen l join automation_rule r on r.id = l.rule_id
    where r.dormant_since is null and not r.suspended and not coalesce((select suspended from tenant), false)
        and (l.awaited or l.version = r.version);

-- domain_event_follow brings the triggers' functions in line with what is listened to. History that is brought in happened long ago: nothing comes
-- of what is older than a day.
-- +goose StatementBegin
create function domain_event_follow() returns void
    language plpgsql as $f$
declare
    hashed constant text := 'set jit = off set enable_nestloop = off';
    looked_up constant text := 'set jit = off set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off';
begin
    perform pg_advisory_xact_lock(1902115850, 0);
    perform tertulia.segment_write_function('domain_event_contact', looked_up, tertulia.domain_event_body('{contact.created}',
        'select w.id, n.id, n.id, null::bigint, null::bigint, null::text from became n cross join %s
            where not exists (select from tertulia.contact_record x where x.id = n.id)'));
    perform tertulia.segment_write_function('domain_event_link', looked_up, tertulia.domain_event_body('{identifier.added}',
        'select w.id, n.contact_id, n.identifier_id, null::bigint, null::bigint, null::text from became n cross join %s
            where current_setting(''tertulia.links'', true) is distinct from ''derived'''));
    perform tertulia.segment_write_function('domain_event_segment', hashed, tertulia.domain_event_body('{segment.entered,segment.left}',
        'select w.id, n.contact_id, n.id, null::bigint, null::bigint, null::text from became n join tertulia.segment g on g.id = n.segment_id join %s
            on w.event = case when n.entered then ''segment.entered'' else ''segment.left'' end
            where w.name in ('''', g.name) and (w.edits or n.reason in (''Data'', ''Time''))'));
    perform tertulia.segment_write_function('domain_event_event', hashed, tertulia.domain_event_body('{event}',
        'select w.id, n.contact_id, n.id, n.identifier_id, (extract(epoch from n.occurred_at) * 1000000)::bigint, null::text
            from became n join %s on w.name = n.name where n.occurred_at > now() - interval ''1 day'''));
    perform tertulia.segment_write_function('domain_event_mention', hashed, tertulia.domain_event_body('{mention.received}',
        'select w.id, null::bigint, n.id, null::bigint, null::bigint, null::text from became n cross join %s
            where n.forgotten_at is null and n.created_at > now() - interval ''1 day'''));
    perform tertulia.segment_write_function('domain_event_engaged', hashed, tertulia.domain_event_body('{message.opened}',
        'select w.id, n.contact_id, n.send_id, null::bigint, null::bigint, null::text from became n cross join %s where n.what = ''opened'''));
    perform tertulia.segment_write_function('domain_event_engagement', hashed, tertulia.domain_event_body('{message.clicked}',
        'select w.id, null::bigint, n.send_id, n.seq, n.link_id, null::text from became n cross join %s where n.what = ''clicked'''));
    perform tertulia.segment_write_function('domain_event_returned', hashed, tertulia.domain_event_body('{message.bounced}',
        'select w.id, null::bigint, n.send_id, n.seq, null::bigint, null::text from became n cross join %s
            where n.kind = ''Bounce'' and n.class = ''Hard'' and n.send_id is not null'));
    perform tertulia.segment_write_function('domain_event_refused', hashed, tertulia.domain_event_body('{contact.unsubscribed}',
        'select w.id, n.contact_id, n.contact_id, null::bigint, null::bigint, n.purpose from became n cross join %s
            where not n.granted and n.by_contact and n.recorded_at >= now()'));
    perform tertulia.segment_write_function('domain_event_withdrawn', hashed, tertulia.domain_event_body('{contact.unsubscribed}',
        'select w.id, n.contact_id, n.contact_id, null::bigint, null::bigint, n.purpose from was o
            join became n on n.contact_id = o.contact_id and n.purpose = o.purpose cross join %s
            where not n.granted and n.by_contact and (o.granted or not o.by_contact) and n.recorded_at >= now()'));
    perform tertulia.segment_write_function('domain_event_incident', hashed, tertulia.domain_event_body('{incident.opened,incident.updated,incident.closed}',
        'select w.id, null::bigint, n.id, null::bigint, null::bigint, null::text from became n join %s on w.event = ''incident.'' || lower(n.kind)
            where n.incident ->> ''fromHistory'' is distinct from ''true'''));
end $f$;
-- +goose StatementEnd

select domain_event_follow();
create trigger domain_event after insert on contact referencing new table as became for each statement execute function domain_event_contact();
create trigger domain_event after insert on identifier_link referencing new table as became for each statement execute function domain_event_link();
create trigger domain_event after insert on segment_event referencing new table as became for each statement execute function domain_event_segment();
create trigger domain_event after insert on event referencing new table as became for each statement execute function domain_event_event();
create trigger domain_event after insert on mention referencing new table as became for each statement execute function domain_event_mention();
create trigger domain_event after insert on engaged referencing new table as became for each statement execute function domain_event_engaged();
create trigger domain_event after insert on engagement referencing new table as became for each statement execute function domain_event_engagement();
create trigger domain_event after insert on returned referencing new table as became for each statement execute function domain_event_returned();
create trigger domain_event_added after insert on consent referencing new table as became for each statement execute function domain_event_refused();
create trigger domain_event_changed after update on consent referencing old table as was new table as became for each statement
    execute function domain_event_withdrawn();
create trigger domain_event after insert on incident_event referencing new table as became for each statement execute function domain_event_incident();

-- Nobody listens for a tenant that is suspended, and mornings come by its zone where nobody's own is known.
-- +goose StatementBegin
create function follow_rules() returns trigger
    language plpgsql as $f$
begin
    perform tertulia.domain_event_follow();
    update tertulia.automation_revision set revision = revision + 1;
    return null;
end $f$;
-- +goose StatementEnd
create trigger follow_rules after insert or delete or update of suspended, time_zone on tenant for each row execute function follow_rules();

---------------------------------------------------------------------------------------------------------------- the queue

-- domain_event_rotate lets the queue forget what was worked off, as segment_rotate does.
-- +goose StatementBegin
create function domain_event_rotate(grown bigint) returns boolean
    language plpgsql as $f$
declare
    writes smallint;
    idle text;
    is_empty boolean;
begin
    select newest into writes from tertulia.domain_event_side;
    idle := format('tertulia.domain_event_queue_%s', 1 - writes);
    if pg_relation_size(idle::regclass) > 0 then
        execute format('lock table %s in access exclusive mode nowait', idle);
        execute format('select not exists (select from %s)', idle) into is_empty;
        if not is_empty then
            return false;
        end if;
        execute format('truncate %s', idle);
    end if;
    if pg_relation_size(format('tertulia.domain_event_queue_%s', writes)::regclass) < grown then
        return false;
    end if;
    update tertulia.domain_event_side set newest = 1 - writes where newest = writes;
    return found;
end $f$;
-- +goose StatementEnd

-- domain_event_claim takes events of shards that nobody holds, at most so many, and of each thing that is listened to at most so many: a storm of
-- one kind does not keep the others waiting. The statement that handles them must come after this one.
-- +goose StatementBegin
create function domain_event_claim(most int, each int) returns setof domain_event_queue
    language plpgsql set jit = off set enable_seqscan = off set enable_bitmapscan = off as $f$
declare
    begins constant int := floor(random() * 16);
    watches constant int[] := array(select id from tertulia.domain_event_watch order by random());
    taken int := 0;
    n int;
    s smallint;
begin
    for i in 0..15 loop
        s := (begins + i) % 16;
        continue when not exists (select from tertulia.domain_event_queue_0 q where q.shard = s)
            and not exists (select from tertulia.domain_event_queue_1 q where q.shard = s);
        continue when not pg_try_advisory_xact_lock(1902115851, s);
        return query delete from tertulia.domain_event_queue_0 q where q.ctid = any (array(
            select c.ctid from unnest(watches) w cross join lateral (
                select d.ctid from tertulia.domain_event_queue_0 d where d.shard = s and d.watch_id = w limit each) c limit most - taken)) returning q.*;
        get diagnostics n = row_count;
        taken := taken + n;
        return query delete from tertulia.domain_event_queue_1 q where q.ctid = any (array(
            select c.ctid from unnest(watches) w cross join lateral (
                select d.ctid from tertulia.domain_event_queue_1 d where d.shard = s and d.watch_id = w limit each) c limit most - taken)) returning q.*;
        get diagnostics n = row_count;
        taken := taken + n;
        exit when taken >= most;
    end loop;
end $f$;
-- +goose StatementEnd

---------------------------------------------------------------------------------------------------------------- counting and forgetting

-- count_entries keeps the counts of rules, whoever writes entries.
-- +goose StatementBegin
create function count_entries() returns trigger
    language plpgsql set jit = off as $f$
begin
    if tg_op = 'INSERT' then
        insert into tertulia.automation_tally (rule_id, slot, waiting, stuck, fired)
        select n.rule_id, (pg_backend_pid() & 7)::smallint, count(*) filter (where n.status = 'Waiting'), count(*) filter (where n.status = 'Stuck'), count(*)
        from became n group by n.rule_id order by n.rule_id
        on conflict (rule_id, slot) do update set waiting = automation_tally.waiting + excluded.waiting, stuck = automation_tally.stuck + excluded.stuck,
            fired = automation_tally.fired + excluded.fired, told = false;
        return null;
    end if;
    if tg_op = 'DELETE' then
        insert into tertulia.automation_tally (rule_id, slot, waiting, stuck)
        select d.rule_id, (pg_backend_pid() & 7)::smallint, d.waiting, d.stuck from (
            select o.rule_id, -count(*) filter (where o.status = 'Waiting') waiting, -count(*) filter (where o.status = 'Stuck') stuck
            from was o group by o.rule_id) d where d.waiting <> 0 or d.stuck <> 0 order by d.rule_id
        on conflict (rule_id, slot) do update set waiting = automation_tally.waiting + excluded.waiting, stuck = automation_tally.stuck + excluded.stuck, told = false;
        return null;
    end if;
    insert into tertulia.automation_tally (rule_id, slot, waiting, stuck)
    select d.rule_id, (pg_backend_pid() & 7)::smallint, d.waiting, d.stuck from (
        select m.rule_id, coalesce(sum(m.n) filter (where m.status = 'Waiting'), 0) waiting, coalesce(sum(m.n) filter (where m.status = 'Stuck'), 0) stuck
        from (select o.rule_id, o.status, -1 n from was o union all select n.rule_id, n.status, 1 from became n) m group by m.rule_id) d
    where d.waiting <> 0 or d.stuck <> 0 order by d.rule_id
    on conflict (rule_id, slot) do update set waiting = automation_tally.waiting + excluded.waiting, stuck = automation_tally.stuck + excluded.stuck, told = false;
    return null;
end $f$;
-- +goose StatementEnd
create trigger count_added after insert on automation_entry referencing new table as became for each statement execute function count_entries();
create trigger count_changed after update on automation_entry referencing old table as was new table as became for each statement execute function count_entries();
create trigger count_removed after delete on automation_entry referencing old table as was for each statement execute function count_entries();

-- Who is erased leaves no entry behind. A contact that is merged goes on as a record, and its entries with it.
-- +goose StatementBegin
create function forget_erased_entries() returns trigger language plpgsql
    set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $f$
declare
    gone bigint[] := array(select w.id from was w where not exists (select from tertulia.contact c where c.id = w.id)
        and not exists (select from tertulia.contact_record r where r.id = w.id));
begin
    if gone = '{}' then
        return null;
    end if;
    delete from tertulia.outbox o where o.entry_id in (select e.id from tertulia.automation_entry e where e.contact_id = any (gone));
    delete from tertulia.automation_entry e where e.contact_id = any (gone);
    delete from tertulia.automation_pass p where p.key in (select 'c/' || g from unnest(gone) g);
    return null;
end $f$;
-- +goose StatementEnd
create trigger forget_erased_entries after delete on contact referencing old table as was for each statement execute function forget_erased_entries();
create trigger forget_erased_entries after delete on contact_record referencing old table as was for each statement execute function forget_erased_entries();

-- +goose Down
-- Forward only.
