-- +goose Up

-- Segments follow what changes: triggers note what changed about whom, workers evaluate the segments that depend on it for
-- these contacts, and a sweep finds whom the passing of time concerns.

alter table segment add column follows jsonb; -- {"watches": [{"kind", "name"}], "boundaries": [{"of", "name", "after", "steps"}]}; null: anything
alter table segment add column watched boolean not null default false; -- in force, and neither it nor the tenant is suspended
alter table segment add column building_since timestamptz; -- who changes meanwhile is noted in segment_touched
alter table segment add column build_awaits text[];        -- transactions that wrote before anybody took note of it
alter table segment add column verified_to bigint;         -- contacts up to this one were compared in the pass under way
alter table segment add column verified_at timestamptz;    -- when the last whole pass ended

-- Why somebody entered: Data, Time, Definition or Repair; null before this was kept.
alter table segment_member add column reason text;

-- What a segment can depend on, as a number.
create table segment_watch (
    id   int  generated always as identity primary key,
    kind text not null, -- contact, any, attribute, field, tag, purpose, event, identifier, segment, message, received, time
    name text not null,
    unique (kind, name)
);
insert into segment_watch (kind, name) values ('contact', ''), ('any', '');

-- What the segments depend on that are watched.
create table segment_use (
    segment_id bigint not null references segment on delete cascade,
    watch_id   int    not null references segment_watch,
    primary key (segment_id, watch_id)
);
create index segment_use_watch on segment_use (watch_id);

-- Where the passing of time changes an answer: so long after an event, or after what a field of a contact holds.
create table segment_boundary (
    watch_id    int         primary key references segment_watch,
    of          text        not null, -- event, message, field, age, anniversary, instant
    name        text        not null, -- of the event, of what was done with the message, of the field's column; the instant
    after       interval    not null,
    steps       bigint[],             -- of age and anniversary: the values that matter; null: all
    swept_until timestamptz not null
);

-- Who changed, and what about them. One side is written while the other is worked off and then truncated.
create table segment_change (
    side       smallint    not null,
    shard      smallint    not null,
    watch_id   int         not null,
    contact_id bigint      not null,
    at         timestamptz not null default now()
) partition by list (side);
create table segment_change_0 partition of segment_change for values in (0);
create table segment_change_1 partition of segment_change for values in (1);
create index segment_change_0_shard on segment_change_0 (shard);
create index segment_change_1_shard on segment_change_1 (shard);
create table segment_queue (
    singleton boolean  primary key default true check (singleton),
    newest    smallint not null default 0
);
insert into segment_queue default values;

-- Who changed while a segment was being built. Nothing is unique here, so that no writer waits for the build.
create table segment_touched (
    segment_id bigint not null,
    contact_id bigint not null
);
create index segment_touched_segment on segment_touched (segment_id);

-- How many members of each shard a segment has; told: the segment's own row knows it too.
create table segment_tally (
    segment_id bigint      not null references segment on delete cascade,
    shard      smallint    not null,
    n          bigint      not null,
    changed_at timestamptz not null default clock_timestamp(),
    told       boolean     not null default false,
    primary key (segment_id, shard)
);
create index segment_tally_untold on segment_tally (segment_id) where not told;

-- Who entered and who left, and why. Kept for 30 days.
create table segment_event (
    id         bigint      generated always as identity primary key,
    segment_id bigint      not null,
    contact_id bigint      not null,
    entered    boolean     not null,
    reason     text        not null,
    at         timestamptz not null default clock_timestamp()
);

-- The shard in which a contact is evaluated: two workers never evaluate the same one at once.
-- +goose StatementBegin
create function contact_shard(id bigint) returns smallint
    language sql immutable parallel safe
    return (id & 15)::smallint;
-- +goose StatementEnd

-- segment_notes is the body of a trigger that notes changes, for what is watched at the moment; rows selects contact_id and
-- key, which is the name of a watch of a kind, with %s for the table of changed rows. Names are written into the body and not
-- looked up by it: a function is seen as it is now even by a transaction whose snapshot is old.
-- +goose StatementBegin
create function segment_notes(kinds text, rows text, to_anything boolean) returns text
    language plpgsql as $f$
declare
    watches text;
    anything int;
    wanted text := '';
begin
    select string_agg(format('(%L::text, %s)', w.name, w.id), ', ' order by w.id) into watches
    from tertulia.segment_watch w where w.kind = kinds and exists (select from tertulia.segment_use u where u.watch_id = w.id);
    select w.id into anything from tertulia.segment_watch w
    where to_anything and w.kind = 'any' and exists (select from tertulia.segment_use u where u.watch_id = w.id);
    if watches is not null then
        wanted := format('select r.contact_id, w.watch_id from changed r join (values %s) w (key, watch_id) on w.key = r.key', watches);
    end if;
    if anything is not null then
        wanted := wanted || case when watches is not null then ' union all ' else '' end || format('select r.contact_id, %s from changed r', anything);
    end if;
    if wanted = '' then
        return 'begin return null; end';
    end if;
    return replace(format($b$
begin
    if tg_op = 'INSERT' then
        with changed as (%1$s) QUEUE;
    elsif tg_op = 'DELETE' then
        with changed as (%2$s) QUEUE;
    else
        with changed as (%1$s union %2$s) QUEUE;
    end if;
    return null;
end $b$, format(rows, 'became'), format(rows, 'was')), 'QUEUE', format('insert into tertulia.segment_change (side, shard, watch_id, contact_id)
            select (select newest from tertulia.segment_queue), tertulia.contact_shard(d.contact_id), d.watch_id, d.contact_id
            from (%s) d (contact_id, watch_id)', wanted));
end $f$;
-- +goose StatementEnd

-- segment_notes_contact is likewise the body for contacts. A new one may belong anywhere; of a changed one it says which of
-- the watched columns differ.
-- +goose StatementBegin
create function segment_notes_contact() returns text
    language plpgsql as $f$
declare
    differ text;
begin
    if not exists (select from tertulia.segment_use) then
        return 'begin return null; end';
    end if;
    select string_agg(case w.kind when 'any' then w.id::text
        when 'tag' then format('case when (%1$L = any (o.tags)) is distinct from (%1$L = any (n.tags)) then %2$s end', w.name, w.id)
        else format('case when o.%1$I is distinct from n.%1$I then %2$s end', a.attname, w.id) end, ', ' order by w.id) into differ
    from tertulia.segment_watch w
        left join pg_attribute a on a.attrelid = 'tertulia.contact'::regclass and not a.attisdropped
            and a.attname = case w.kind when 'attribute' then 'attr_' || w.name when 'field' then w.name end
    where (w.kind in ('any', 'tag') or a.attname is not null) and exists (select from tertulia.segment_use u where u.watch_id = w.id);
    return format($b$
begin
    if tg_op = 'INSERT' then
        insert into tertulia.segment_change (side, shard, watch_id, contact_id)
        select (select newest from tertulia.segment_queue), tertulia.contact_shard(n.id), %s, n.id from became n;
    else
        insert into tertulia.segment_change (side, shard, watch_id, contact_id)
        select (select newest from tertulia.segment_queue), tertulia.contact_shard(d.id), d.watch_id, d.id
        from (select n.id, unnest(array[%s]::int[]) watch_id from was o join became n on n.id = o.id) d
        where d.watch_id is not null;
    end if;
    return null;
end $b$, (select id from tertulia.segment_watch where kind = 'contact'), coalesce(differ, ''));
end $f$;
-- +goose StatementEnd

-- segment_write_function replaces a trigger's function where its body differs. Settings keep the planner from comparing every
-- changed row with every other: it plans for the first call, which has few. What they rule out costs so much on paper that the
-- server would compile such statements, which takes a second.
-- +goose StatementBegin
create function segment_write_function(name text, settings text, body text) returns void
    language plpgsql as $f$
begin
    if body is distinct from (select p.prosrc from pg_proc p where p.pronamespace = 'tertulia'::regnamespace and p.proname = name) then
        execute format('create or replace function tertulia.%I() returns trigger language plpgsql %s as %L', name, settings, body);
    end if;
end $f$;
-- +goose StatementEnd

-- segment_watch_changes brings the triggers' functions in line with what is watched.
-- +goose StatementBegin
create function segment_watch_changes() returns void
    language plpgsql as $f$
declare
    hashed constant text := 'set jit = off set enable_nestloop = off';
    looked_up constant text := 'set jit = off set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off';
begin
    perform tertulia.segment_write_function('note_contact', hashed, tertulia.segment_notes_contact());
    perform tertulia.segment_write_function('note_consent', hashed,
        tertulia.segment_notes('purpose', 'select contact_id, purpose as key from %s', true));
    perform tertulia.segment_write_function('note_event', hashed,
        tertulia.segment_notes('event', 'select contact_id, name as key from %s where contact_id is not null', true));
    perform tertulia.segment_write_function('note_link', looked_up,
        tertulia.segment_notes('identifier', 'select l.contact_id, i.type as key from %s l join tertulia.identifier i on i.id = l.identifier_id', true));
    perform tertulia.segment_write_function('note_engaged', hashed,
        tertulia.segment_notes('message', 'select contact_id, what as key from %s', true));
    -- What was sent is told of by the counts of a chunk, one row for a batch, in the transaction that settles the ledger's rows.
    perform tertulia.segment_write_function('note_settled', looked_up, tertulia.segment_notes('received',
        'select l.contact_id, ''received'' as key from %s t join tertulia.send_chunk k on k.send_id = t.send_id and k.chunk = t.chunk
            join tertulia.ledger l on l.send_id = k.send_id and l.seq between k.first_seq and k.last_seq
            where l.settled_at = now() and l.contact_id is not null', false));
    perform tertulia.segment_write_function('note_member', hashed,
        tertulia.segment_notes('segment', 'select m.contact_id, g.name as key from %s m join tertulia.segment g on g.id = m.segment_id', false));
end $f$;
-- +goose StatementEnd

-- What the segments depend on that are watched, by name.
create view segment_wanted as
    select g.id segment_id, w.kind, w.name, null::text as of, null::text as subject, null::interval as after, null::bigint[] as steps
    from segment g cross join lateral (
        select 'contact' kind, '' name
        union all select 'any', '' where g.follows is null
        union all select d ->> 'kind', d ->> 'name' from jsonb_array_elements(g.follows -> 'watches') d) w
    where g.watched
    union
    select g.id, 'time', concat_ws('/', d ->> 'of', d ->> 'name', d ->> 'after', d ->> 'steps'), d ->> 'of', d ->> 'name',
        coalesce((d ->> 'after')::bigint, 0) * interval '1 microsecond',
        case when d ? 'steps' then array(select jsonb_array_elements_text(d -> 'steps')::bigint) end
    from segment g cross join lateral jsonb_array_elements(g.follows -> 'boundaries') d
    where g.watched;

-- follow_segments brings everything in line with the definitions in force, whoever writes them. Where nothing differs it
-- writes nothing.
-- +goose StatementBegin
create function follow_segments() returns trigger
    language plpgsql as $f$
begin
    perform pg_advisory_xact_lock(1902115848, 0);
    -- What wakes is built anew: nobody has followed what changed meanwhile.
    update tertulia.segment g set watched = not g.watched,
        refresh_asked_at = case when g.watched then g.refresh_asked_at else coalesce(g.refresh_asked_at, now()) end,
        building_since = null, build_awaits = null
    where g.watched is distinct from (g.dormant_since is null and not g.suspended and not coalesce((select suspended from tertulia.tenant), false));
    delete from tertulia.segment_touched t using tertulia.segment g where g.id = t.segment_id and not g.watched;

    insert into tertulia.segment_watch (kind, name)
    select distinct kind, name from tertulia.segment_wanted s
    where not exists (select from tertulia.segment_watch w where w.kind = s.kind and w.name = s.name) order by 1, 2;
    delete from tertulia.segment_use u where not exists (
        select from tertulia.segment_watch w join tertulia.segment_wanted s on s.kind = w.kind and s.name = w.name
        where w.id = u.watch_id and s.segment_id = u.segment_id);
    with added as (
        insert into tertulia.segment_use (segment_id, watch_id)
        select s.segment_id, w.id from tertulia.segment_wanted s join tertulia.segment_watch w on w.kind = s.kind and w.name = s.name
        where not exists (select from tertulia.segment_use u where u.segment_id = s.segment_id and u.watch_id = w.id)
        returning segment_id)
    update tertulia.segment g set refresh_asked_at = coalesce(g.refresh_asked_at, now()), build_awaits = null
    where g.id in (select segment_id from added);
    delete from tertulia.segment_boundary b where not exists (select from tertulia.segment_use u where u.watch_id = b.watch_id);
    insert into tertulia.segment_boundary (watch_id, of, name, after, steps, swept_until)
    select distinct on (w.id) w.id, s.of, s.subject, s.after, s.steps, clock_timestamp() - interval '1 minute'
    from tertulia.segment_wanted s join tertulia.segment_watch w on w.kind = s.kind and w.name = s.name
    where s.kind = 'time' and not exists (select from tertulia.segment_boundary b where b.watch_id = w.id);

    perform tertulia.segment_watch_changes();
    return null;
end $f$;
-- +goose StatementEnd

-- What changed about whom, in the statement that changes it.
select segment_watch_changes();
create trigger note_added after insert on contact referencing new table as became for each statement execute function note_contact();
create trigger note_changed after update on contact referencing old table as was new table as became for each statement execute function note_contact();
create trigger note_added after insert on consent referencing new table as became for each statement execute function note_consent();
create trigger note_changed after update on consent referencing old table as was new table as became for each statement execute function note_consent();
create trigger note_removed after delete on consent referencing old table as was for each statement execute function note_consent();
create trigger note_added after insert on event referencing new table as became for each statement execute function note_event();
create trigger note_changed after update on event referencing old table as was new table as became for each statement execute function note_event();
create trigger note_removed after delete on event referencing old table as was for each statement execute function note_event();
create trigger note_added after insert on identifier_link referencing new table as became for each statement execute function note_link();
create trigger note_changed after update on identifier_link referencing old table as was new table as became for each statement execute function note_link();
create trigger note_removed after delete on identifier_link referencing old table as was for each statement execute function note_link();
create trigger note_added after insert on engaged referencing new table as became for each statement execute function note_engaged();
create trigger note_changed after update on engaged referencing old table as was new table as became for each statement execute function note_engaged();
create trigger note_removed after delete on engaged referencing old table as was for each statement execute function note_engaged();
create trigger note_added after insert on send_tally referencing new table as became for each statement execute function note_settled();
create trigger note_changed after update on send_tally referencing old table as was new table as became for each statement execute function note_settled();
create trigger note_added after insert on segment_member referencing new table as became for each statement execute function note_member();
create trigger note_removed after delete on segment_member referencing old table as was for each statement execute function note_member();

-- Workers write other columns of a segment, and cannot change what is watched.
create trigger follow after insert or delete or update of follows, suspended, dormant_since on segment
    for each statement execute function follow_segments();
create trigger follow after insert or delete or update of suspended on tenant
    for each statement execute function follow_segments();

-- Days begin at another time where the tenant's zone is another.
-- +goose StatementBegin
create function follow_zone() returns trigger language plpgsql as $f$
begin
    update tertulia.segment g set refresh_asked_at = coalesce(g.refresh_asked_at, now())
    where exists (select from tertulia.segment_use u join tertulia.segment_boundary b using (watch_id)
        where u.segment_id = g.id and b.of in ('age', 'anniversary'));
    return null;
end $f$;
-- +goose StatementEnd
create trigger follow_zone after update on tenant for each row when (old.time_zone is distinct from new.time_zone) execute function follow_zone();

-- segment_source names the tables that a segment depends on: who has written to one before it was watched has to end before the
-- segment can be built.
-- +goose StatementBegin
create function segment_source(segment bigint) returns setof text
    language sql stable as $f$
    select distinct s.source from tertulia.segment_use u join tertulia.segment_watch w on w.id = u.watch_id
        join (values ('contact', 'tertulia.contact'), ('purpose', 'tertulia.consent'), ('event', 'tertulia.event'),
            ('identifier', 'tertulia.identifier_link'), ('segment', 'tertulia.segment_member'), ('message', 'tertulia.engaged'), ('received', 'tertulia.send_tally'),
            ('any', 'tertulia.consent'), ('any', 'tertulia.event'), ('any', 'tertulia.identifier_link'), ('any', 'tertulia.engaged'))
            s (kind, source) on s.kind = w.kind
    where u.segment_id = segment;
$f$;
-- +goose StatementEnd

-- segment_rotate lets the queue forget what was worked off: the side that is not written is truncated when nobody uses it, and
-- then takes its turn when the other has grown. It fails at once where somebody holds it.
-- +goose StatementBegin
create function segment_rotate(grown bigint) returns boolean
    language plpgsql as $f$
declare
    writes smallint;
    idle text;
    is_empty boolean;
begin
    select newest into writes from tertulia.segment_queue;
    idle := format('tertulia.segment_change_%s', 1 - writes);
    if pg_relation_size(idle::regclass) > 0 then
        execute format('lock table %s in access exclusive mode nowait', idle);
        execute format('select not exists (select from %s)', idle) into is_empty;
        if not is_empty then
            return false;
        end if;
        execute format('truncate %s', idle);
    end if;
    if pg_relation_size(format('tertulia.segment_change_%s', writes)::regclass) < grown then
        return false;
    end if;
    update tertulia.segment_queue set newest = 1 - writes where newest = writes;
    return found;
end $f$;
-- +goose StatementEnd

-- segment_claim_shard takes changes of one shard out of the queue, at most so many; its lock must be held. The statement that
-- evaluates must come after this one, so that it sees what was committed with every change that was taken.
-- +goose StatementBegin
create function segment_claim_shard(most int, s smallint) returns table (watch_id int, contact_id bigint, at timestamptz)
    language plpgsql set jit = off set enable_seqscan = off set enable_bitmapscan = off as $f$
declare
    n int;
begin
    return query delete from tertulia.segment_change_0 q
        where q.ctid = any (array(select c.ctid from tertulia.segment_change_0 c where c.shard = s limit most))
        returning q.watch_id, q.contact_id, q.at;
    get diagnostics n = row_count;
    return query delete from tertulia.segment_change_1 q
        where q.ctid = any (array(select c.ctid from tertulia.segment_change_1 c where c.shard = s limit most - n))
        returning q.watch_id, q.contact_id, q.at;
end $f$;
-- +goose StatementEnd

-- segment_claim takes changes of the shards that nobody holds.
-- +goose StatementBegin
create function segment_claim(most int) returns table (watch_id int, contact_id bigint, at timestamptz)
    language plpgsql as $f$
declare
    begins constant int := floor(random() * 16);
    taken int := 0;
    n int;
    s smallint;
begin
    for i in 0..15 loop
        s := (begins + i) % 16;
        continue when not pg_try_advisory_xact_lock(1902115849, s);
        return query select * from tertulia.segment_claim_shard(most - taken, s);
        get diagnostics n = row_count;
        taken := taken + n;
        exit when taken >= most;
    end loop;
end $f$;
-- +goose StatementEnd

-- segment_claim_certain takes changes of one shard and waits for who holds it.
-- +goose StatementBegin
create function segment_claim_certain(most int, s smallint) returns table (watch_id int, contact_id bigint, at timestamptz)
    language plpgsql as $f$
begin
    perform pg_advisory_xact_lock(1902115849, s);
    return query select * from tertulia.segment_claim_shard(most, s);
end $f$;
-- +goose StatementEnd

-- segment_cross queues those for whom a boundary has been crossed since its last sweep, and returns how many they are.
-- +goose StatementBegin
create function segment_cross(b segment_boundary, until timestamptz) returns bigint
    language plpgsql set jit = off set enable_seqscan = off as $f$
declare
    since constant timestamptz := b.swept_until;
    column_type regtype;
    n bigint := 0;
begin
    select a.atttypid into column_type from pg_attribute a
    where b.of in ('field', 'age', 'anniversary') and a.attrelid = 'tertulia.contact'::regclass and a.attname = b.name and not a.attisdropped;
    if b.of = 'event' then
        -- In this form no other statement asks for the name, so that the planner takes the index for nothing else.
        insert into tertulia.segment_change (side, shard, watch_id, contact_id)
        select distinct (select newest from tertulia.segment_queue), tertulia.contact_shard(e.contact_id), b.watch_id, e.contact_id
        from tertulia.event e
        where e.name || '' = b.name and e.contact_id is not null
            and e.occurred_at > since - b.after and e.occurred_at <= until - b.after;
        get diagnostics n = row_count;
    elsif b.of = 'message' and b.name = 'received' then
        -- No index tells of the ledger's rows by time, because it would make sending slower: the sends of the time in question are
        -- read. A late outcome comes within days.
        insert into tertulia.segment_change (side, shard, watch_id, contact_id)
        select distinct (select newest from tertulia.segment_queue), tertulia.contact_shard(l.contact_id), b.watch_id, l.contact_id
        from tertulia.send s join tertulia.ledger l on l.send_id = s.id
        where s.frozen_at <= until - b.after and (s.finished_at is null or s.finished_at > since - b.after - interval '4 days')
            and l.contact_id is not null and l.settled_at > since - b.after and l.settled_at <= until - b.after;
        get diagnostics n = row_count;
    elsif b.of = 'message' then
        insert into tertulia.segment_change (side, shard, watch_id, contact_id)
        select distinct (select newest from tertulia.segment_queue), tertulia.contact_shard(e.contact_id), b.watch_id, e.contact_id
        from tertulia.engaged e
        where e.what = b.name and e.at > since - b.after and e.at <= until - b.after;
        get diagnostics n = row_count;
    elsif b.of = 'instant' and b.name::timestamptz > since and b.name::timestamptz <= until then
        insert into tertulia.segment_change (side, shard, watch_id, contact_id)
        select (select newest from tertulia.segment_queue), tertulia.contact_shard(c.id), b.watch_id, c.id from tertulia.contact c;
        get diagnostics n = row_count;
    elsif b.of = 'field' and column_type in ('date'::regtype, 'timestamptz'::regtype) then
        execute format('insert into tertulia.segment_change (side, shard, watch_id, contact_id)
            select (select newest from tertulia.segment_queue), tertulia.contact_shard(c.id), $1, c.id
            from tertulia.contact c where c.%1$I > $2%2$s and c.%1$I <= $3%2$s', b.name,
            case when column_type = 'date'::regtype then ' at time zone ''UTC''' else '' end)
        using b.watch_id, since - b.after, until - b.after;
        get diagnostics n = row_count;
    elsif b.of in ('age', 'anniversary') and column_type in ('date'::regtype, 'timestamptz'::regtype) then
        -- Steps are skipped over when nobody has swept for days: then everybody counts whose value has changed.
        execute format('insert into tertulia.segment_change (side, shard, watch_id, contact_id)
            with zones as materialized (
                select zone, tertulia.local_day($2, zone) before, tertulia.local_day($3, zone) today
                from (select distinct coalesce(c.time_zone, (select time_zone from tertulia.tenant)) zone from tertulia.contact c) z
            ), moved as materialized (
                select c.id, z.before, z.today, tertulia.%1$I(%2$s, z.before) f, tertulia.%1$I(%2$s, z.today) t
                from (select * from zones where before <> today) z
                    join tertulia.contact c on coalesce(c.time_zone, (select time_zone from tertulia.tenant)) is not distinct from z.zone
                where c.%3$I is not null
            )
            select (select newest from tertulia.segment_queue), tertulia.contact_shard(m.id), $1, m.id from moved m
            where m.f is distinct from m.t and ($4 is null or m.f = any ($4) or m.t = any ($4) or m.today <> m.before + 1)',
            case b.of when 'age' then 'completed_years' else 'days_to_anniversary' end,
            case when column_type = 'date'::regtype then format('c.%I', b.name) else format('tertulia.local_day(c.%I, z.zone)', b.name) end, b.name)
        using b.watch_id, since, until, b.steps;
        get diagnostics n = row_count;
    end if;
    return n;
end $f$;
-- +goose StatementEnd

-- segment_sweep sweeps every boundary, by the clock of the database. An event that commits later than its boundary was swept is
-- queued by its own trigger, and evaluated later than that: nothing has to be swept twice. The evaluation comes behind the sweep
-- by more than the clock is ever set back by a little. A boundary that nobody crosses is written once in five minutes.
--
-- What is costly to find is looked for every ten minutes, unless the sweep is thorough.
-- +goose StatementBegin
create function segment_sweep(thorough boolean) returns bigint
    language plpgsql as $f$
declare
    b tertulia.segment_boundary;
    until timestamptz;
    n bigint;
    total bigint := 0;
begin
    if not pg_try_advisory_xact_lock(1902115848, 1) then
        return 0;
    end if;
    for b in select * from tertulia.segment_boundary order by watch_id loop
        until := clock_timestamp() - interval '500 milliseconds';
        -- Days begin at quarters of an hour, wherever that is.
        continue when until <= b.swept_until
            or b.of in ('age', 'anniversary') and date_bin('15 minutes', until, 'epoch') <= b.swept_until
            or b.of = 'message' and b.name = 'received' and b.after > '0' and not thorough and b.swept_until > until - interval '10 minutes'
            or b.of = 'message' and b.name = 'received' and b.after = '0'; -- nothing is sent ahead of its time
        n := tertulia.segment_cross(b, until);
        if n > 0 or b.of in ('age', 'anniversary') or b.of = 'message' and b.name = 'received' or b.swept_until < until - interval '5 minutes' then
            update tertulia.segment_boundary set swept_until = until where watch_id = b.watch_id;
        end if;
        total := total + n;
    end loop;
    return total;
end $f$;
-- +goose StatementEnd

-- The segments that are there already depend on anything until their definitions are saved again.
update segment set suspended = suspended;

-- +goose Down
-- Forward only.
