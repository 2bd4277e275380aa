-- +goose Up

-- The tenant that this database belongs to. A database with another id or namespace is refused.
create table tenant (
    singleton    boolean primary key default true check (singleton),
    id           text        not null,
    namespace    text        not null,
    display_name text        not null default '',
    time_zone    text        not null default 'UTC',
    locales      text[]      not null default '{en}',
    public_url   text        not null default '',
    suspended    boolean     not null default false,
    claimed_at   timestamptz not null default now()
);

-- Keys that sign links and key the hashes of addresses. They live as long as the database: a rebuilt cluster kills no mailed link.
create table secret_key (
    id         smallint generated always as identity primary key,
    purpose    text        not null unique, -- link, address
    key        bytea       not null check (octet_length(key) = 32),
    created_at timestamptz not null default now()
);
insert into secret_key (purpose, key)
select purpose, sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'))
from unnest(array['link', 'address']) purpose;

-- keyed_hash is how an address is remembered where the address itself must not be: an envelope of SHA-256, which
-- unlike a bare concatenation does not admit length extension.
-- +goose StatementBegin
create function keyed_hash(key bytea, value text) returns bytea
    language sql immutable strict parallel safe
    return sha256(key || sha256(key || convert_to(value, 'UTF8')));
-- +goose StatementEnd

---------------------------------------------------------------------------------------------------------------- configuration

create table attribute (
    record_type text     not null, -- contact
    name        text     not null,
    column_name text     not null, -- attr_<name>
    type        text     not null, -- String, Integer, Decimal, Boolean, Date, Timestamp
    enum        text[],
    indexed     boolean  not null default false,
    personal    boolean  not null default false,
    declared    boolean  not null default true, -- false: the manifest no longer names it; the column stays
    primary key (record_type, name)
);

create table event_type (
    name          text primary key,
    properties    jsonb       not null default '[]', -- [{"name": …, "type": …}]
    suspended     boolean     not null default false,
    dormant_since timestamptz -- its object was deleted then
);

create table channel (
    name          text primary key,
    type          text        not null, -- Email
    settings      jsonb       not null,
    suspended     boolean     not null default false,
    dormant_since timestamptz,
    trouble       text, -- why the channel does not deliver, in words for an author; null when it does
    trouble_since timestamptz
);

create table template (
    name           text primary key,
    default_locale text        not null,
    content        jsonb       not null, -- [{"locale", "subject", "html", "text"}]
    digest         text        not null,
    suspended      boolean     not null default false,
    dormant_since  timestamptz
);

create table segment (
    id               bigint generated always as identity primary key,
    name             text        not null unique,
    match            text        not null,
    digest           text        not null, -- of the definition: expression and the types it was checked against
    predicate        text        not null, -- SQL over contact c, with $n for each argument
    arguments        jsonb       not null, -- the arguments as text, in order
    suspended        boolean     not null default false,
    dormant_since    timestamptz,
    refresh_asked_at timestamptz, -- an import or a definition asks for evaluation; null when nothing does
    built_digest     text,        -- the definition that the membership was built with
    built_at         timestamptz,
    changed_at       timestamptz, -- when the membership last changed or its definition was built
    members          bigint
);

---------------------------------------------------------------------------------------------------------------- people

create table contact (
    id         bigint generated always as identity primary key,
    public_id  uuid        not null default gen_random_uuid() unique,
    locale     text,
    time_zone  text,
    tags       text[]      not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
    -- attributes follow as attr_<name>
);

-- An identifier is one row per (type, normalised value): email, phone, or external:<source> for another system's id.
create table identifier (
    id         bigint generated always as identity primary key,
    type       text        not null,
    value      text        not null,
    created_at timestamptz not null default now(),
    unique (type, value)
);

-- Links bind identifiers to people. A verified one binds to one person only; unverified ones perhaps to several.
create table identifier_link (
    identifier_id bigint      not null references identifier,
    contact_id    bigint      not null references contact,
    verified      boolean     not null,
    source        text        not null,
    linked_at     timestamptz not null default now(),
    primary key (identifier_id, contact_id)
);
create unique index identifier_link_verified on identifier_link (identifier_id) where verified;
create index identifier_link_contact on identifier_link (contact_id);

create table consent (
    contact_id  bigint      not null references contact,
    purpose     text        not null,
    granted     boolean     not null,
    by_contact  boolean     not null default false, -- the person decided it themself: no import overrides it
    source      text        not null,
    recorded_at timestamptz not null default now(),
    primary key (contact_id, purpose)
);

-- Addresses that are never written to, by keyed hash, so that the entry can outlive the person's data.
create table suppression (
    address_hash bytea primary key,
    reason       text        not null, -- unsubscribed, bounced, complained, manual
    source       text        not null,
    created_at   timestamptz not null default now()
);

-- Addresses whose holder has said no to a purpose over the link in a mail, by keyed hash. The mail went to an address, and
-- another contact may have it, perhaps one that is imported later: who said no is not written to on that contact's account.
create table refusal (
    address_hash bytea       not null,
    purpose      text        not null,
    source       text        not null,
    recorded_at  timestamptz not null default now(),
    primary key (address_hash, purpose)
);

create table event (
    id            bigint generated always as identity,
    name          text        not null,
    occurred_at   timestamptz not null,
    identifier_id bigint      not null, -- who caused it
    contact_id    bigint,               -- a cache of the identifier's link; null until it is bound
    properties    jsonb       not null default '{}',
    source        text        not null,
    received_at   timestamptz not null default now()
) partition by range (occurred_at);
create table event_default partition of event default;
-- No index on (name, occurred_at) while nothing reads by it: before the first ANALYZE the planner takes it for a contact's
-- events too, and evaluating a segment of 10,000 people then takes a minute in place of a tenth of a second.
create index event_contact on event (contact_id, name, occurred_at);
create index event_identifier on event (identifier_id);

-- An event is taken once per (source, the client's id).
create table event_key (
    source    text not null,
    client_id text not null,
    primary key (source, client_id)
);

create table segment_member (
    segment_id bigint      not null references segment,
    contact_id bigint      not null references contact,
    entered_at timestamptz not null default now(),
    primary key (segment_id, contact_id)
);
create index segment_member_contact on segment_member (contact_id);

---------------------------------------------------------------------------------------------------------------- sending

create table send (
    id             bigint generated always as identity primary key,
    send_key       text        not null,
    occurrence     text        not null default '',
    campaign       text        not null, -- the name of the object that declares it now
    purpose        text        not null,
    channel        text        not null,
    segments       text[]      not null,
    exclude        text[]      not null default '{}',
    max_recipients bigint      not null,
    variants       jsonb       not null, -- [{"name", "template", "weight"}]
    starts_at      timestamptz not null,
    deadline       timestamptz not null, -- not begun by then: Expired
    state          text        not null default 'Scheduled'
        check (state in ('Scheduled', 'Freezing', 'Sending', 'Held', 'Completed', 'Expired', 'Aborted')),
    suspended      boolean     not null default false,
    dormant_since  timestamptz,
    message        text, -- why it is Held or waits, in words for an author, without people
    audience       bigint, -- contacts that the frozen audience held
    frozen_at      timestamptz,
    finished_at    timestamptz,
    created_at     timestamptz not null default now(),
    unique (send_key, occurrence)
);
create index send_campaign on send (campaign);
create index send_open on send (starts_at) where state in ('Scheduled', 'Freezing', 'Sending', 'Held');

-- One row per recipient. Its keys are never rewritten and its rows never deleted.
create table ledger (
    send_id      bigint      not null,
    seq          bigint      not null, -- 1…planned within the send
    step         text        not null default '',
    contact_id   bigint,               -- null for a publication
    address_hash bytea,                -- null for a row that was skipped before it held an address
    variant      smallint    not null default 0,
    state        text        not null
        check (state in ('pending', 'intent', 'sent', 'failed', 'ambiguous', 'skipped')),
    reason       text,                 -- of a skip
    epoch        int         not null default 0, -- of the lease under which the intent was committed
    attempts     smallint    not null default 0,
    not_before   timestamptz,
    intent_at    timestamptz,
    settled_at   timestamptz,
    reply        text,                 -- the server's last answer
    primary key (send_id, seq)
) partition by hash (send_id);
-- +goose StatementBegin
do $$
begin
    for i in 0..15 loop
        execute format('create table ledger_%s partition of ledger for values with (modulus 16, remainder %s) with (fillfactor = 70)', i, i);
    end loop;
end $$;
-- +goose StatementEnd
create unique index ledger_contact on ledger (send_id, step, contact_id) nulls not distinct;
create unique index ledger_address on ledger (send_id, step, address_hash);

-- A chunk is a run of ledger rows that one worker leases at a time. Rows are found by (send_id, seq), a bounded range,
-- so that finished rows never slow a claim down.
create table send_chunk (
    send_id      bigint      not null references send,
    chunk        int         not null,
    first_seq    bigint      not null,
    last_seq     bigint      not null,
    open         boolean     not null default true, -- holds pending rows or intents
    owner        text,
    epoch        int         not null default 0,
    leased_until timestamptz,
    next_at      timestamptz not null default '-infinity', -- when the earliest of its pending rows may be tried
    primary key (send_id, chunk)
);
create index send_chunk_open on send_chunk (send_id, next_at) where open;

-- Counts by chunk and outcome, kept in the transactions that change the ledger, so that nobody counts ledger rows.
-- outcome: planned, sent, failed, ambiguous, skipped:<Reason>
create table send_tally (
    send_id bigint not null references send,
    chunk   int    not null,
    outcome text   not null,
    n       bigint not null,
    primary key (send_id, chunk, outcome)
);

---------------------------------------------------------------------------------------------------------------- access and signals

create table api_token (
    id         bigint generated always as identity primary key,
    name       text        not null,
    hash       bytea       not null unique, -- SHA-256 of the token
    scopes     text[]      not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
create unique index api_token_name on api_token (name) where revoked_at is null;

-- What the data plane changed since the operator last looked: workers insert, the operator deletes what it takes.
create table status_change (
    kind text not null, -- Segment, Campaign, MessageChannel
    name text not null,
    primary key (kind, name)
);

---------------------------------------------------------------------------------------------------------------- functions of expressions

-- A property that is missing, of another type or of more than 30 digits beside its point is null: no row can make a
-- statement fail, not even by a sum. The functions are not strict, because the planner could not inline them then, and
-- reading a property would take six times as long.
-- +goose StatementBegin
create function jsonb_decimal(properties jsonb, name text) returns numeric
    language sql immutable parallel safe
    return case jsonb_typeof(properties -> name)
        when 'number' then case when length(properties ->> name) <= 62 then (properties -> name)::numeric end
        when 'string' then case when properties ->> name ~ '^-?[0-9]{1,30}(\.[0-9]{1,30})?$' then (properties ->> name)::numeric end
    end;
-- +goose StatementEnd
-- +goose StatementBegin
create function jsonb_boolean(properties jsonb, name text) returns boolean
    language sql immutable parallel safe
    return case when jsonb_typeof(properties -> name) = 'boolean' then (properties -> name)::boolean end;
-- +goose StatementEnd
-- +goose StatementBegin
create function jsonb_string(properties jsonb, name text) returns text
    language sql immutable parallel safe
    return case when jsonb_typeof(properties -> name) = 'string' then properties ->> name end;
-- +goose StatementEnd

-- +goose Down
-- Forward only.
