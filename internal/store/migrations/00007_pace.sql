-- +goose Up

-- How fast messages may leave over a channel: {"perSecond", "perDomainPerSecond", "perDay", "warmUp": {"startsOn", "steps":
-- [{"day", "perDay"}]}}; null where the channel sets no limits.
alter table channel add column rate jsonb;

-- The pace of a channel, shared by all workers: a row for the channel as a whole (receiver 0) and one for each receiver that
-- has a bucket of tokens of its own or asks for patience. A row that is not there is a full bucket.
create table pace (
    channel       text             not null,
    receiver      int              not null, -- 0: the channel as a whole
    tokens        double precision not null, -- that messages may be sent for, as of filled_at
    debt          double precision not null default 0, -- what transactional messages have taken beyond them
    filled_at     timestamptz      not null,
    paused_until  timestamptz,      -- no chunk of this receiver is leased before; always null for the channel as a whole
    -- A receiver that defers what it is offered.
    slowed        double precision, -- messages a second that it is offered yet; null for one that is not held back
    slowed_from   double precision, -- the rate at which it is no longer held back
    pauses        smallint         not null default 0,
    backoff_until timestamptz,      -- nothing is offered to it before
    grown_at      timestamptz,      -- when slowed was last changed
    shown         boolean          not null default false, -- so many people have their mail there that its name tells of nobody
    -- The channel as a whole, where it has a bound for the day.
    day           timestamptz,      -- the beginning of the day that granted counts
    granted       bigint           not null default 0,
    capped_until  timestamptz,      -- the day's bound is reached; null where it is not
    primary key (channel, receiver)
) with (fillfactor = 50);
create index pace_slowed on pace (channel) where slowed is not null;

-- A look-up that did not succeed is tried again sooner than one that did.
alter table receiving_domain add column lookup_failed boolean not null default false;

-- +goose Down
-- Forward only.
