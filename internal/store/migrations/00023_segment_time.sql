-- +goose Up

-- Whose messages are whose changes when records come to a contact or leave it: what was received, opened and clicked is kept under the
-- record that it was for. segment_notes_record is the body of the trigger that notes it.
-- +goose StatementBegin
create function segment_notes_record() returns text
    language plpgsql as $f$
declare
    watches int[];
begin
    select array_agg(w.id order by w.id) into watches from tertulia.segment_watch w
    where w.kind in ('message', 'received', 'any') and exists (select from tertulia.segment_use u where u.watch_id = w.id);
    if watches is null then
        return 'begin return null; end';
    end if;
    return replace(format($b$
begin
    if tg_op = 'INSERT' then
        QUEUE (select n.contact_id from became n) d (contact_id), unnest(%1$L::int[]) w (id);
    elsif tg_op = 'DELETE' then
        QUEUE (select o.contact_id from was o) d (contact_id), unnest(%1$L::int[]) w (id);
    else
        QUEUE (select unnest(array[o.contact_id, n.contact_id]) from was o join became n on n.id = o.id where n.contact_id <> o.contact_id) d (contact_id),
            unnest(%1$L::int[]) w (id);
    end if;
    return null;
end $b$, watches), 'QUEUE', 'insert into tertulia.segment_change (side, shard, watch_id, contact_id)
            select distinct (select newest from tertulia.segment_queue), tertulia.contact_shard(d.contact_id), w.id, d.contact_id from');
end $f$;
-- +goose StatementEnd

-- follow_records comes behind follow_segments, which has brought to what is watched what it reads.
-- +goose StatementBegin
create function follow_records() returns trigger
    language plpgsql as $f$
begin
    perform tertulia.segment_write_function('note_record', 'set jit = off set enable_nestloop = off', tertulia.segment_notes_record());
    return null;
end $f$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function segment_source(segment bigint) returns setof text
    language sql stable as $f$
    select distinct s.source from tertulia.segment_use u join tertulia.segment_watch w on w.id = u.watch_id
        join (values ('contact', 'tertulia.contact'), ('purpose', 'tertulia.consent'), ('event', 'tertulia.event'),
            ('identifier', 'tertulia.identifier_link'), ('segment', 'tertulia.segment_member'), ('message', 'tertulia.engaged'), ('received', 'tertulia.send_tally'),
            ('message', 'tertulia.contact_record'), ('received', 'tertulia.contact_record'),
            ('any', 'tertulia.consent'), ('any', 'tertulia.event'), ('any', 'tertulia.identifier_link'), ('any', 'tertulia.engaged'), ('any', 'tertulia.contact_record'))
            s (kind, source) on s.kind = w.kind
    where u.segment_id = segment;
$f$;
-- +goose StatementEnd

select segment_write_function('note_record', 'set jit = off set enable_nestloop = off', segment_notes_record());
create trigger follow_records after insert or delete or update of follows, suspended, dormant_since on segment
    for each statement execute function follow_records();
create trigger follow_records after insert or delete or update of suspended on tenant
    for each statement execute function follow_records();
create trigger note_added after insert on contact_record referencing new table as became for each statement execute function note_record();
create trigger note_changed after update on contact_record referencing old table as was new table as became for each statement execute function note_record();
create trigger note_removed after delete on contact_record referencing old table as was for each statement execute function note_record();

-- A thorough sweep waits for who sweeps at this moment, who may leave out what is costly to find.
-- +goose StatementBegin
create or replace function segment_sweep(thorough boolean) returns bigint
    language plpgsql as $f$
declare
    b tertulia.segment_boundary;
    until timestamptz;
    n bigint;
    total bigint := 0;
begin
    if thorough then
        perform pg_advisory_xact_lock(1902115848, 1);
    elsif not pg_try_advisory_xact_lock(1902115848, 1) then
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

-- segment_crossing queues those who cross a boundary of a segment at this moment, and are swept in half a second: their membership may
-- differ from its definition until then, and nobody is to blame.
-- +goose StatementBegin
create function segment_crossing(segment bigint) returns bigint
    language sql as $f$
    select coalesce(sum(tertulia.segment_cross(b, clock_timestamp())), 0)
    from tertulia.segment_boundary b join tertulia.segment_use u on u.watch_id = b.watch_id
    where u.segment_id = segment;
$f$;
-- +goose StatementEnd

-- +goose Down
-- Forward only.
