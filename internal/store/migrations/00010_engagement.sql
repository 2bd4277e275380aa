-- +goose Up

-- Whether mails may bear tracked links and pixels at all, and for how long it is kept who followed which.
alter table tenant add column tracking_forbidden boolean not null default false;
alter table tenant add column tracking_retention interval not null default '365 days';

-- What a campaign declares.
alter table send add column track_opens boolean not null default false;
alter table send add column track_clicks boolean not null default false;

-- What was opened and clicked, as it came in. Nothing is counted here: it has no index, so that a million people can answer a
-- mail within minutes. A partition a month, which the operator makes ahead and drops when tracking_retention is over.
create table engagement (
    at      timestamptz not null,
    send_id bigint      not null,
    seq     bigint      not null, -- of the recipient in the ledger
    what    text        not null, -- opened, clicked, machine-opened, machine-clicked
    link_id bigint,               -- of a click; 0 is the link that no person sees
    reason  text                  -- why it was taken for a machine's; null for a person's
) partition by range (at);
create table engagement_default partition of engagement default;

-- Who has done it already, so that a person counts once: a bit for each of 8192 recipients that follow one another.
create table engagement_seen (
    send_id bigint not null references send,
    block   int    not null, -- the recipient of bit 0 has the number block * 8192
    what    text   not null,
    seen    bytea  not null, -- bit i is bit i % 8 of byte i / 8, the lowest first; bytes at the end may be missing
    primary key (send_id, block, what)
) with (fillfactor = 50);

-- Counts of people and in all, kept in the transactions that write the rows above, so that nobody counts those.
create table engagement_tally (
    send_id bigint   not null references send,
    variant smallint not null,
    what    text     not null,
    people  bigint   not null,
    total   bigint   not null,
    primary key (send_id, variant, what)
);

-- The newest batch that each process has written: one whose commit got lost on its way is written again, and counts once.
create table engagement_flush (
    flusher    text        primary key,
    number     bigint      not null,
    written_at timestamptz not null default now()
);

-- +goose Down
-- Forward only.
