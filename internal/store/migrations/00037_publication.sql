-- +goose Up

-- What a campaign publishes on a social network; null of one that writes to people.
alter table send add column publication jsonb; -- {"locales", "images": [{"digest", "part", "alt"}], "visibility"}

-- A worker of the version before, which knows no publications, freezes an audience of nobody and would call the send completed: it is kept from it.
alter table send add constraint send_publication_has_posts check (publication is null or frozen_at is null or audience > 0) not valid;

-- The pictures of publications.
create table publication_image (
    digest  text        primary key, -- SHA-256, in hexadecimal
    data    bytea       not null,
    used_at timestamptz not null default now() -- when a campaign last declared it
);

-- The posts of a publication that are on their network: the ledger's row has one, or of a thread several. They are never deleted.
create table publication_part (
    send_id   bigint      not null,
    seq       bigint      not null,
    part      smallint    not null, -- of the thread, from 1
    channel   text        not null,
    network   text        not null, -- as mentions name it
    native_id text        not null,
    url       text        not null default '',
    at        timestamptz not null,
    primary key (send_id, seq, part)
);
create index publication_part_native on publication_part (network, native_id);

-- +goose Down
-- Forward only.
