-- +goose Up

-- As whom a channel of a social network posts: a worker has logged in and asked.
alter table channel
    add column account    text,  -- as people write it
    add column account_id text,  -- as the network numbers it
    add column takes      jsonb; -- what its server takes of a post

-- Answers and publications leave through the outbox too, at most once: an intent is committed before anything is handed over, and where nobody knows
-- what became of it the network is asked before it is handed over again.
alter table outbox
    add column send_id   bigint,      -- of a campaign's publication
    add column due_at    timestamptz, -- from when on it may leave: it is tried for a time that begins then
    add column intent_at timestamptz, -- when it was first to be handed over: it is the same at every try
    add column tried_at  timestamptz, -- when it was last
    add column findable  boolean not null default false, -- it can be asked whether it is there
    add column written   jsonb,       -- what is handed over, the same at every try
    add column url       text,        -- where people read it
    add column decision  jsonb;       -- of a person, about one that may be there or failed: {"outcome", "by", "why", "at"}
alter table outbox drop constraint outbox_state_check;
alter table outbox add constraint outbox_state_check check (state in ('pending', 'intent', 'sent', 'failed', 'ambiguous'));
update outbox set due_at = not_before where state = 'pending';
drop index outbox_due;
create index outbox_due on outbox (channel, not_before) where state in ('pending', 'intent');
create index outbox_ambiguous on outbox (id) where state = 'ambiguous';
create index outbox_send on outbox (send_id) where send_id is not null;

-- What of a posting is on its network: one row for a post, several for a thread.
create table outbox_part (
    outbox_id bigint   not null references outbox on delete cascade,
    place     smallint not null,
    channel   text     not null,
    native_id text     not null,
    cid       text     not null default '', -- the content's hash, where the network answers by it
    url       text     not null default '',
    primary key (outbox_id, place)
);
-- Whether a post is known to be another intent's.
create index outbox_part_native on outbox_part (channel, native_id);

-- +goose Down
-- Forward only.
