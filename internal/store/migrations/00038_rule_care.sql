-- +goose Up

-- What brings in many people at once, or what they did long ago. While one goes on, and until segments have followed what it brought, nobody is told
-- who entered a segment or left it: they come and go as it arrives. A process that dies leaves a row behind that holds nothing back for long.
create table import_run (
    source   text        not null,
    what     text        not null, -- contacts, events
    began_at timestamptz not null default clock_timestamp(),
    ends_at  timestamptz not null, -- until then it goes on, unless it says again that it does
    over_at  timestamptz,          -- since when nothing waits for it
    primary key (source, what)
);

-- note_import says that an import goes on, for as long as patience, where that was not said a moment ago.
-- +goose StatementBegin
create function note_import(of_source text, of_what text, patience interval) returns void
    language sql as $f$
    insert into tertulia.import_run (source, what, ends_at)
    select of_source, of_what, clock_timestamp() + patience
    where not exists (select from tertulia.import_run r where r.source = of_source and r.what = of_what and r.over_at is null
        and r.ends_at between clock_timestamp() + patience / 2 and clock_timestamp() + patience)
    on conflict (source, what) do update set ends_at = excluded.ends_at, over_at = null,
        began_at = case when import_run.over_at is null and import_run.ends_at >= clock_timestamp() then import_run.began_at else clock_timestamp() end
$f$;
-- +goose StatementEnd

-- imports_hold tells whether what segments make of it is held back. Whoever brings history for six hours on end is no import any more. A clock that
-- was set back makes nothing wait for longer than an import that died does.
-- +goose StatementBegin
create function imports_hold() returns boolean
    language plpgsql set jit = off as $f$
declare
    last timestamptz;
    goes_on boolean;
begin
    select max(least(r.ends_at, clock_timestamp())), bool_or(r.ends_at between clock_timestamp() and clock_timestamp() + interval '5 minutes')
    into last, goes_on from tertulia.import_run r where r.over_at is null and r.began_at > clock_timestamp() - interval '6 hours';
    if last is null then
        return false;
    end if;
    if goes_on or exists (select from tertulia.segment_change c where c.at <= last) then
        return true;
    end if;
    -- Whoever says at this moment that it goes on is not waited for.
    update tertulia.import_run r set over_at = clock_timestamp()
    where r.ctid = any (array(select o.ctid from tertulia.import_run o where o.over_at is null
        and not o.ends_at between clock_timestamp() and clock_timestamp() + interval '5 minutes' for no key update skip locked));
    return false;
end $f$;
-- +goose StatementEnd

-- Who is on which version of a rule: what that one listens to is listened to for as long as somebody is on it.
create index automation_entry_version on automation_entry (rule_id, version) where status in ('Waiting', 'Stuck');

-- Behind which entry those are still to be moved to the version in force that were on earlier ones; null: none.
alter table automation_rule add column move_after bigint;

-- What kind of trouble a rule has, and when it was last seen: it is taken back when the rule has gone well since.
alter table automation_rule add column trouble_of text, add column trouble_last timestamptz;

-- domain_event_claim takes events of shards that nobody holds, at most so many, and of each thing that is listened to at most so many: a storm of
-- one kind does not keep the others waiting. What segments tell waits for imports. The statement that handles them must come after this one.
-- +goose StatementBegin
create or replace function domain_event_claim(most int, each int) returns setof domain_event_queue
    language plpgsql set jit = off set enable_seqscan = off set enable_bitmapscan = off as $f$
declare
    begins constant int := floor(random() * 16);
    held constant boolean := tertulia.imports_hold();
    watches constant int[] := array(select w.id from tertulia.domain_event_watch w
        where not (held and w.event in ('segment.entered', 'segment.left')) order by random());
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

-- Who is erased leaves no entry behind, and nothing by which their entries were told apart. A contact that is merged goes on as a record, and its entries
-- with it.
-- +goose StatementBegin
create or replace function forget_erased_entries() returns trigger language plpgsql
    set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $f$
declare
    gone bigint[] := array(select w.id from was w where not exists (select from tertulia.contact c where c.id = w.id)
        and not exists (select from tertulia.contact_record r where r.id = w.id));
begin
    if gone = '{}' then
        return null;
    end if;
    delete from tertulia.outbox o where o.entry_id in (select e.id from tertulia.automation_entry e where e.contact_id = any (gone));
    delete from tertulia.automation_pass p where (p.key, p.rule_id) in (
        select e.key, e.rule_id from tertulia.automation_entry e where e.contact_id = any (gone) offset 0);
    delete from tertulia.automation_entry e where e.contact_id = any (gone);
    delete from tertulia.automation_pass p where p.key in (select 'c/' || g from unnest(gone) g);
    return null;
end $f$;
-- +goose StatementEnd

-- +goose Down
-- Forward only.
