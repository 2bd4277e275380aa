-- +goose Up

-- The send permit names the ledger that may be sent from: the PostgreSQL cluster, its timeline, the database and the table.
-- Whatever else holds these rows (a dump restored here or elsewhere, a server promoted or recovered to another moment) is
-- another ledger, and nothing is sent from it until the operator, which writes this row, has compared the marks.
create table send_permit (
    singleton         boolean primary key default true check (singleton),
    system_identifier bigint      not null,
    timeline          bigint      not null,
    database_oid      bigint      not null,
    ledger_oid        bigint      not null,
    permitted_at      timestamptz not null default now()
);

-- How many intents were ever committed for the rows of a chunk, in the transactions that commit them: who does has locked
-- the chunk already, so that counting makes nobody wait. The sum is the ledger's mark. Each update writes the chunk's row
-- anew, and leaves room for the next one in its page.
alter table send_chunk add column intents bigint not null default 0;
alter table send_chunk set (fillfactor = 70);
update send_chunk c set intents = counted.n
from (select k.send_id, k.chunk, sum(l.attempts) n from send_chunk k
        join ledger l on l.send_id = k.send_id and l.seq between k.first_seq and k.last_seq group by k.send_id, k.chunk) counted
where c.send_id = counted.send_id and c.chunk = counted.chunk and counted.n > 0;

-- While a quarantine is not closed nothing is sent. The operator opens and closes it; a person releases it in between.
create table quarantine (
    id                bigint generated always as identity primary key,
    since             timestamptz not null default now(),
    why               text        not null, -- what differs, in words
    system_identifier bigint      not null, -- of the ledger that was found, as in send_permit
    timeline          bigint      not null,
    database_oid      bigint      not null,
    ledger_oid        bigint      not null,
    known_mark        bigint,               -- what the cluster remembered; null where it remembered none
    ledger_mark       bigint      not null, -- what the ledger said
    campaigns         jsonb       not null default '[]', -- what the cluster's Campaigns said: numbers and names of objects
    released_at       timestamptz,
    released_token    text,                 -- the name of the API token
    released_by       text,                 -- whom the caller named
    release_reason    text,
    continued         text[],               -- campaigns that go on although they differ or were due
    continued_all     boolean,
    closed_at         timestamptz,
    outcome           text check (outcome in ('Released', 'Superseded'))
);
create unique index quarantine_open on quarantine ((true)) where closed_at is null;

-- A send that a release left for a person to decide about. It is known by its key: the restored ledger may not know the send.
create table send_hold (
    send_key      text        not null,
    occurrence    text        not null default '',
    campaign      text        not null,
    quarantine_id bigint      not null,
    held_at       timestamptz not null default now(),
    resumed_at    timestamptz,
    resumed_token text,
    resumed_by    text,
    resume_reason text,
    primary key (send_key, occurrence)
);

-- Where this ledger is, as PostgreSQL itself says. On a standby the timeline is 0: nothing can be sent from there. The table is
-- looked up when a statement runs, and never while it is planned: a constant ('ledger'::regclass) that is resolved before the
-- statement waits for a restore to commit would stay that of the table that is gone, in a plan that the connection keeps.
create view ledger_identity as
select control.system_identifier,
    case when pg_is_in_recovery() then 0 else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint end as timeline,
    own.oid::bigint as database_oid, coalesce(to_regclass('ledger')::oid::bigint, 0) as ledger_oid
from pg_control_system() control join pg_database own on own.datname = current_database();

-- send_permitted tells whether this ledger is the permitted one and no quarantine is open. It is a function so that the
-- statements which lease, freeze and commit intents, all of which ask it, are planned as fast as without it.
-- +goose StatementBegin
create function send_permitted() returns boolean
    language plpgsql stable
    as $$
begin
    return exists (select from send_permit join ledger_identity using (system_identifier, timeline, database_oid, ledger_oid))
        and not exists (select from quarantine where closed_at is null);
end $$;
-- +goose StatementEnd

-- +goose Down
-- Forward only.
