-- +goose Up

-- What came back from messages: bounces, complaints, answers. It is taken once by the id that whoever brings it gave it.
create table returned (
    id          bigint      generated always as identity primary key,
    channel     text        not null,
    source      text        not null, -- how it came: imap, smtp, generic, ses, mailgun
    source_id   text        not null,
    kind        text        not null check (kind in ('Bounce', 'Delay', 'Delivery', 'Complaint', 'AutoReply', 'Reply')),
    class       text check (class in ('Hard', 'Soft')), -- of a bounce
    status      text,                 -- enhanced status code (RFC 3463)
    diagnostic  text,                 -- what the server said
    feedback    text,                 -- of a complaint (RFC 5965)
    send_id     bigint,               -- the ledger's row that it is about; null where it holds no token of ours
    seq         bigint,
    written_at  timestamptz,
    received_at timestamptz not null default now(),
    sender      text,                 -- of a reply, as its subject and content
    subject     text,
    content     text,
    unique (channel, source, source_id)
);
create index returned_row on returned (send_id, seq) where send_id is not null;
create index returned_received on returned (received_at)
    where diagnostic is not null or sender is not null or subject is not null or content is not null;

-- How many messages of a send bounced and so on, a message once, kept in the transactions that write the rows above.
create table returned_tally (
    send_id bigint not null references send,
    what    text   not null, -- bounced, soft-bounced, complained, replied
    n       bigint not null,
    primary key (send_id, what)
);

-- What the soft bounces of an address weigh by now: they decay.
create table soft_bounce (
    address_hash bytea            primary key,
    weight       double precision not null,
    at           timestamptz      not null
);

-- Why the channel's mailbox cannot be read, in words for an author; null when it can.
alter table channel add column returns_trouble text;

-- How far a mailbox has been read: everything up to this UID, while its UIDVALIDITY is this (RFC 9051, section 2.3.1.1).
create table mailbox_cursor (
    channel  text        primary key,
    validity bigint      not null,
    uid      bigint      not null,
    read_at  timestamptz not null default now()
);

-- +goose Down
-- Forward only.
