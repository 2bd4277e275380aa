-- +goose Up

-- What was ever said about who has an identifier. Rows are added and, when they are taken back, marked so; they are never changed otherwise, nor
-- deleted. A record is a contact as it came in: its id is that of the contact that was made for it, whoever it belongs to by now. Which
-- records are one person follows from this table and from contact_decision, and identifier_link from both.
create table identifier_link_log (
    id            bigint      generated always as identity,
    identifier_id bigint      not null,
    record_id     bigint      not null,
    evidence      text        not null, -- stated, confirmed, decided
    source        text        not null,
    verified      boolean     not null,
    at            timestamptz not null default now(),
    revoked_at    timestamptz,
    revoked_why   text
);
create index identifier_link_log_record on identifier_link_log (record_id);
create index identifier_link_log_verified on identifier_link_log (identifier_id) where verified and revoked_at is null;
insert into identifier_link_log (identifier_id, record_id, evidence, source, verified, at)
select identifier_id, contact_id, 'stated', source, verified, linked_at from identifier_link;

-- Whoever writes a link writes the log, but for those who derive the links from it.
-- +goose StatementBegin
create function log_links() returns trigger language plpgsql as $$
begin
    if current_setting('tertulia.links', true) = 'derived' then
        return null;
    end if;
    if tg_op = 'INSERT' then
        insert into identifier_link_log (identifier_id, record_id, evidence, source, verified, at)
        select identifier_id, contact_id, coalesce(nullif(current_setting('tertulia.evidence', true), ''), 'stated'), source, verified, linked_at from after;
        return null;
    end if;
    if tg_op = 'DELETE' then
        update identifier_link_log g set revoked_at = now(), revoked_why = 'unlinked'
        from before b left join contact_record r on r.contact_id = b.contact_id
        where g.identifier_id = b.identifier_id and g.record_id = coalesce(r.id, b.contact_id) and g.revoked_at is null;
        return null;
    end if;
    -- A link that becomes verified is one more thing to know; one that is no longer what it was is taken back.
    update identifier_link_log g set revoked_at = now(), revoked_why = 'unlinked'
    from before b left join contact_record r on r.contact_id = b.contact_id
    where g.identifier_id = b.identifier_id and g.record_id = coalesce(r.id, b.contact_id) and g.revoked_at is null and not exists (
        select from after a where a.identifier_id = b.identifier_id and a.contact_id = b.contact_id and (a.verified or not b.verified));
    insert into identifier_link_log (identifier_id, record_id, evidence, source, verified)
    select a.identifier_id, a.contact_id, coalesce(nullif(current_setting('tertulia.evidence', true), ''), 'confirmed'), a.source, a.verified from after a
    where not exists (select from before b where b.identifier_id = a.identifier_id and b.contact_id = a.contact_id and b.verified = a.verified);
    return null;
end $$;
-- +goose StatementEnd
create trigger link_added after insert on identifier_link referencing new table as after for each statement execute function log_links();
create trigger link_verified after update on identifier_link referencing old table as before new table as after
    for each statement execute function log_links();
create trigger link_removed after delete on identifier_link referencing old table as before for each statement execute function log_links();

-- When a contact's attributes were last said anew, by column; what is missing is as old as the contact.
alter table contact add column said_at jsonb;

-- The records of contacts that have several, the contact's own among them. The table contact has a row for each person and not for each
-- record: where a contact is merged into another its row goes, and comes back from here. What each source says stays apart.
create table contact_record (
    id         bigint      primary key,
    contact_id bigint      not null references contact, -- whose it is now
    public_id  uuid        not null unique,
    source     text        not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    said       jsonb       not null, -- {"<column of contact>": {"v": …, "at": …}}
    tags       text[]      not null,
    consents   jsonb       not null  -- [{"purpose", "granted", …}]
);
create index contact_record_contact on contact_record (contact_id);

-- Events that several records of a contact have a claim on go back to whom they were taken from.
create table contact_record_event (
    event_id  bigint primary key,
    record_id bigint not null
);
create index contact_record_event_record on contact_record_event (record_id);

-- What people decided of two records. Rows are added and never taken back: of several about the same two the last counts.
create table contact_decision (
    id       bigint      generated always as identity primary key,
    a        bigint      not null,
    b        bigint      not null,
    same     boolean     not null,
    token    text        not null, -- the name of the API token
    by_whom  text        not null, -- whom the caller named
    reason   text        not null default '',
    at       timestamptz not null default now(),
    check (a < b)
);
create index contact_decision_a on contact_decision (a);
create index contact_decision_b on contact_decision (b);

-- When records came to a contact and left it, for people who look.
create table contact_change (
    id          bigint      generated always as identity primary key,
    at          timestamptz not null default now(),
    record_id   bigint      not null,
    from_id     bigint      not null, -- the contact that the record belonged to
    to_id       bigint      not null, -- and the one that it belongs to since
    types       text[]      not null default '{}', -- of the verified identifiers that it shares with others of the contact
    decision_id bigint      -- where somebody decided so
);
create index contact_change_record on contact_change (record_id);
create index contact_change_from on contact_change (from_id);
create index contact_change_to on contact_change (to_id);

-- What is declared of a record beside its attributes: whose word counts more, the highest first.
create table record_type (
    name    text   primary key,
    sources text[] not null default '{}'
);

-- +goose Down
-- Forward only.
