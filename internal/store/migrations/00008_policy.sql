-- +goose Up

-- It rises with every change of a policy: a worker that knows an older one commits no intent before it has read the new one.
alter table tenant add column policy_revision bigint not null default 0;

create table send_policy (
    name          text    primary key,
    purposes      text[]  not null default '{}', -- that it is for; none: every one
    exempt        text[]  not null default '{}', -- purposes that it is not for
    caps          jsonb   not null default '[]', -- [{"name", "purposes", "max", "seconds"}]
    quiet         jsonb   not null default '[]', -- [{"from", "to", "days"}]
    max_audience  bigint,
    rules         jsonb   not null default '[]', -- [{"name", "expression", "message"}]
    suspended     boolean not null default false,
    dormant_since timestamptz
);

create table consent_policy (
    name          text    primary key,
    template      text,   -- of the mail that asks for a confirmation; null where none is sent
    channel       text,
    valid_seconds bigint  not null, -- how long that mail can be answered
    request_seconds bigint,  -- how long what nobody confirmed is kept; null: for ever
    proof_seconds   bigint,  -- how long a consent that has ended is kept as a proof; null: for ever
    suspended     boolean not null default false,
    dormant_since timestamptz
);

create table purpose (
    name          text    primary key,
    policy        text    not null references consent_policy,
    position      int     not null, -- in its policy
    basis         text    not null check (basis in ('Consent', 'Contract', 'LegitimateInterest', 'LegalObligation')),
    double_opt_in boolean not null default false,
    labels        jsonb   not null default '[]', -- [{"locale", "label", "description"}]
    text_version  text
);

-- What people were asked, by version. A proof names the version, so that a text is never rewritten.
create table consent_text (
    purpose     text        not null,
    version     text        not null,
    locale      text        not null,
    content     text        not null,
    recorded_at timestamptz not null default now(),
    primary key (purpose, version, locale)
);

-- The proof of a consent: how it was given, in answer to which text, and when, if that is not when it was recorded.
alter table consent add column method text;
alter table consent add column text_version text;
alter table consent add column given_at timestamptz;

-- Consents as they were before they changed. Rows are added and, when their time is over, deleted; never changed.
create table consent_history (
    id           bigint      generated always as identity primary key,
    contact_id   bigint      not null,
    purpose      text        not null,
    granted      boolean     not null,
    by_contact   boolean     not null,
    source       text        not null,
    method       text,
    text_version text,
    given_at     timestamptz,
    recorded_at  timestamptz not null,
    ended_at     timestamptz not null default now()
);
create index consent_history_contact on consent_history (contact_id);
create index consent_history_ended on consent_history (purpose, ended_at);

-- +goose StatementBegin
create function keep_consent() returns trigger language plpgsql as $$
begin
    insert into consent_history (contact_id, purpose, granted, by_contact, source, method, text_version, given_at, recorded_at)
    select contact_id, purpose, granted, by_contact, source, method, text_version, given_at, recorded_at from before;
    return null;
end $$;
-- +goose StatementEnd
create trigger consent_updated after update on consent referencing old table as before for each statement execute function keep_consent();
create trigger consent_deleted after delete on consent referencing old table as before for each statement execute function keep_consent();

alter table suppression add column expires_at timestamptz; -- null: never
alter table refusal add column reason text not null default 'unsubscribed';
alter table refusal add column expires_at timestamptz;

-- Somebody asked, over a form or a page, to be written to. It is theirs when the holder of the address has confirmed it.
create table consent_request (
    id           bigint      generated always as identity primary key,
    policy       text        not null,
    address      text,       -- null once the contact is known
    address_hash bytea       not null,
    contact_id   bigint,     -- null until a worker has looked at it
    made_contact boolean     not null default false, -- the contact was made for it, and goes with it
    purposes     text[]      not null,
    versions     text[]      not null, -- of the texts, by purpose; '' where there is none
    locale       text,
    time_zone    text,
    source       text        not null,
    requested_at timestamptz not null default now(),
    expires_at   timestamptz not null,
    send_id      bigint,     -- that carries its mail; null until a worker has looked at it
    confirmed_at timestamptz
);
create unique index consent_request_waiting on consent_request (policy, address_hash) where send_id is null and confirmed_at is null;
create index consent_request_link on consent_request (send_id, contact_id);
create index consent_request_policy on consent_request (policy, requested_at);

-- +goose Down
-- Forward only.
