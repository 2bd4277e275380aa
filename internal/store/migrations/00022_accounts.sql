-- +goose Up

-- Accounts: companies and other organisations, which contacts belong to.
create table account (
    id         bigint      generated always as identity primary key,
    public_id  uuid        not null default gen_random_uuid() unique,
    name       text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
    -- attributes follow as attr_<name>
);

-- What an account is known by: external:<source> for another system's number, of each source one; and its domains.
create table account_identifier (
    type       text        not null,
    value      text        not null,
    account_id bigint      not null references account on delete cascade,
    source     text        not null,
    created_at timestamptz not null default now(),
    primary key (type, value)
);
create unique index account_identifier_account on account_identifier (account_id, type, value);

-- Who belongs to which account, as sources and people say of records. A record is a contact as it came in (see contact_record): what is said of it
-- goes with it when contacts are merged and parted.
create table account_membership (
    record_id  bigint      not null,
    account_id bigint      not null references account on delete cascade,
    source     text        not null, -- '' for what a person decided, which counts before what sources say
    member     boolean     not null default true, -- false: somebody decided that they do not belong to it
    role       text        not null default '',
    is_primary boolean     not null default false, -- the one that counts most of those that the source names
    stated_at  timestamptz not null default now(),
    by_whom    text,
    primary key (record_id, account_id, source)
);
create index account_membership_account on account_membership (account_id);

-- Who is erased belongs to nothing. A contact that is merged goes on as a record, and a record that is by itself again as a contact.
-- +goose StatementBegin
create function forget_memberships() returns trigger language plpgsql as $$
declare
    gone bigint[] := array(select id from was); -- looked up by the key, however many they are
begin
    delete from tertulia.account_membership m
    where m.record_id = any (gone) and not exists (select from tertulia.contact c where c.id = m.record_id)
        and not exists (select from tertulia.contact_record r where r.id = m.record_id);
    return null;
end $$;
-- +goose StatementEnd
create trigger forget_memberships after delete on contact referencing old table as was for each statement execute function forget_memberships();
create trigger forget_memberships after delete on contact_record referencing old table as was for each statement execute function forget_memberships();

-- +goose Down
-- Forward only.
