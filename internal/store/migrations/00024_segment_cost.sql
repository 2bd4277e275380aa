-- +goose Up

-- What the writing of memberships costs besides the rows themselves.

-- Checking each member's two references took two thirds of a build's time, and locked the contacts' rows. Segments are never deleted, and a
-- contact that is deleted is noted: whoever was just writing a membership of it takes that back.
alter table segment_member drop constraint segment_member_segment_id_fkey;
alter table segment_member drop constraint segment_member_contact_id_fkey;

-- segment_notes_contact is the body for contacts, which notes those that are deleted too: they belong nowhere.
-- +goose StatementBegin
create or replace function segment_notes_contact() returns text
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
        select (select newest from tertulia.segment_queue), tertulia.contact_shard(n.id), %1$s, n.id from became n;
    elsif tg_op = 'DELETE' then
        insert into tertulia.segment_change (side, shard, watch_id, contact_id)
        select (select newest from tertulia.segment_queue), tertulia.contact_shard(o.id), %1$s, o.id from was o;
    else
        insert into tertulia.segment_change (side, shard, watch_id, contact_id)
        select (select newest from tertulia.segment_queue), tertulia.contact_shard(d.id), d.watch_id, d.id
        from (select n.id, unnest(array[%2$s]::int[]) watch_id from was o join became n on n.id = o.id) d
        where d.watch_id is not null;
    end if;
    return null;
end $b$, (select id from tertulia.segment_watch where kind = 'contact'), coalesce(differ, ''));
end $f$;
-- +goose StatementEnd

-- segment_notes_member is the body for memberships. Most segments are asked for by no other: the numbers of those that are stand in it.
-- +goose StatementBegin
create function segment_notes_member() returns text
    language plpgsql as $f$
declare
    asked text;
begin
    select string_agg(format('(%s::bigint, %s)', g.id, w.id), ', ' order by g.id) into asked
    from tertulia.segment_watch w join tertulia.segment g on g.name = w.name
    where w.kind = 'segment' and exists (select from tertulia.segment_use u where u.watch_id = w.id);
    if asked is null then
        return 'begin return null; end';
    end if;
    return format($b$
begin
    if tg_op = 'INSERT' then
        insert into tertulia.segment_change (side, shard, watch_id, contact_id)
        select (select newest from tertulia.segment_queue), tertulia.contact_shard(m.contact_id), w.watch_id, m.contact_id
        from became m join (values %1$s) w (segment_id, watch_id) on w.segment_id = m.segment_id;
    else
        insert into tertulia.segment_change (side, shard, watch_id, contact_id)
        select (select newest from tertulia.segment_queue), tertulia.contact_shard(m.contact_id), w.watch_id, m.contact_id
        from was m join (values %1$s) w (segment_id, watch_id) on w.segment_id = m.segment_id;
    end if;
    return null;
end $b$, asked);
end $f$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function segment_watch_changes() returns void
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
    perform tertulia.segment_write_function('note_member', hashed, tertulia.segment_notes_member());
end $f$;
-- +goose StatementEnd

select segment_watch_changes();
create trigger note_removed after delete on contact referencing old table as was for each statement execute function note_contact();

-- +goose Down
-- Forward only.
