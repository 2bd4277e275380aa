-- +goose Up

-- What people write to us, threaded into conversations, and what is promised about it.

-- Who answers: a team with its hours, its promises and its agents.
create table service_queue (
    id            bigint      generated always as identity primary key,
    name          text        not null unique,
    definition    jsonb       not null, -- service.Queue
    digest        text        not null, -- of the definition and its agents
    suspended     boolean     not null default false,
    dormant_since timestamptz,          -- its object was deleted then
    last_given    text        not null default '', -- who had the last turn in the round
    trouble       text,                 -- why it does not do all that it should, in words for its author
    trouble_since timestamptz
);

create table queue_agent (
    queue_id bigint      not null references service_queue on delete cascade,
    name     text        not null,
    capacity int         not null default 0, -- how many tickets they may have that are not solved; 0: what the queue says
    given_at timestamptz,                    -- when they were last given one by routing
    primary key (queue_id, name)
);

-- By which channel conversations of a source are answered; '' for none.
alter table social_source add column reply_channel text not null default '';

-- Conversations and tickets are numbered together, so that a number that people say names one thing.
create sequence service_number start with 1001;

create table conversation (
    id             bigint      generated always as identity primary key,
    public_id      uuid        not null default gen_random_uuid() unique,
    number         bigint      not null default nextval('service_number') unique,
    network        text        not null,
    medium         text        not null check (medium in ('Mail', 'Post', 'Chat')),
    source_id      bigint      not null, -- which brought its first message: by its channel it is answered
    author_id      bigint,               -- whom it is with; null for somebody whom the network does not name
    follows        bigint,               -- the conversation that had ended too long ago
    state          text        not null check (state in ('Open', 'Waiting', 'Snoozed', 'Closed')),
    waiting_since  timestamptz,
    snoozed_until  timestamptz,
    closed_at      timestamptz,
    last_inbound   timestamptz,
    last_outbound  timestamptz,
    reopened       int         not null default 0,
    wake_at        timestamptz,          -- when something happens by time alone
    version        bigint      not null default 0, -- counts messages of both sides: see service.Desk
    version_in     bigint      not null default 0,
    version_out    bigint      not null default 0,
    claimed_by     text        not null default '',
    claimed_until  timestamptz,
    messages       int         not null default 0,
    opened_at      timestamptz not null default clock_timestamp(),
    last_at        timestamptz not null -- of its last message of either side
) with (fillfactor = 80);
create index conversation_author on conversation (author_id) where author_id is not null;
create index conversation_wake on conversation (wake_at) where wake_at is not null;
create index conversation_waiting on conversation (waiting_since, id) where waiting_since is not null;
create index conversation_newest on conversation (state, last_at, id);

-- By what a later message finds its conversation. Keys are keyed hashes: what they were made of cannot be found out.
create table conversation_key (
    key             bytea  not null,
    conversation_id bigint not null references conversation on delete cascade,
    primary key (key, conversation_id)
);
create index conversation_key_conversation on conversation_key (conversation_id);

-- What both sides said. What came in stands in mention; what we say stands here.
create table message (
    id              bigint      generated always as identity primary key,
    public_id       uuid        not null default gen_random_uuid() unique,
    conversation_id bigint      not null references conversation on delete cascade,
    version         bigint      not null, -- of the conversation, that it made
    direction       text        not null check (direction in ('In', 'Out')),
    mention_id      bigint,               -- of one that came in
    taken           boolean     not null default false, -- it was no message to us: an agent or a rule took it up
    answers         bigint,               -- the message that it answers
    agent           text        not null default '', -- who wrote it; '' for a rule
    token           text        not null default '', -- the API token by which
    rule_id         bigint,
    entry_id        bigint,
    step            text        not null default '',
    key             text,                 -- names the attempt, so that one that is made again is the same message
    template        text        not null default '', -- what is still to be written by it
    text            text,                 -- null until it is written, and of one that came in
    leaves          text        not null default '', -- the status that its writer wants of tickets
    automatic       boolean     not null default false, -- a program's, which no clock of a ticket stops for
    state           text        check (state in ('Queued', 'Sent', 'Failed', 'Ambiguous')), -- of an answer
    counted         boolean     not null default false, -- the answer has been counted as one that left
    written_at      timestamptz not null, -- by its author
    sent_at         timestamptz,
    url             text        not null default '',
    reason          text        not null default '', -- what its network said of it
    constraint message_side check ((direction = 'In') = (mention_id is not null) and (direction = 'In') = (state is null))
) with (fillfactor = 80);
create unique index message_mention on message (mention_id) where mention_id is not null;
create unique index message_key on message (conversation_id, key) where key is not null;
create index message_conversation on message (conversation_id, version);
create index message_entry on message (entry_id) where entry_id is not null;

-- What leaves by the outbox for a conversation goes with its message.
alter table outbox add column message_id bigint references message on delete cascade;
create index outbox_message on outbox (message_id) where message_id is not null;

-- For ourselves.
create table note (
    id              bigint      generated always as identity primary key,
    public_id       uuid        not null default gen_random_uuid() unique,
    conversation_id bigint      not null references conversation on delete cascade,
    agent           text        not null,
    token           text        not null default '',
    text            text        not null,
    at              timestamptz not null default clock_timestamp()
);
create index note_conversation on note (conversation_id, id);

create table ticket (
    id              bigint      generated always as identity primary key,
    public_id       uuid        not null default gen_random_uuid() unique,
    number          bigint      not null default nextval('service_number') unique,
    conversation_id bigint      not null references conversation on delete cascade,
    queue_id        bigint      not null references service_queue,
    follows         bigint,               -- the ticket that was closed for good
    subject         text        not null default '', -- of who opened it; of a mail, its title stands in mention
    entry_id        bigint,               -- of the rule that opened it
    status          text        not null check (status in ('New', 'Open', 'Pending', 'Solved', 'Closed')),
    priority        text        not null check (priority in ('Low', 'Normal', 'High', 'Urgent')),
    assignee        text        not null default '',
    passed_by       text        not null default '', -- from whom routing took it, to give it to another
    state           jsonb       not null, -- service.Ticket
    opened_at       timestamptz not null,
    answered_at     timestamptz,
    solved_at       timestamptz,
    closed_at       timestamptz,
    last_inbound    timestamptz,
    due_at          timestamptz,          -- until when the next target has to be met
    wake_at         timestamptz,          -- when something happens by time alone
    -- What is reported, in seconds in which the team works, and by the calendar; null until it is known.
    first_work      bigint,
    first_calendar  bigint,
    next_count      int         not null default 0,
    next_work       bigint      not null default 0,
    next_calendar   bigint      not null default 0,
    solve_work      bigint,
    solve_calendar  bigint,
    missed_first    int         not null default 0,
    missed_next     int         not null default 0,
    missed_solve    int         not null default 0
) with (fillfactor = 70);
-- A conversation has one ticket in a queue that somebody may still answer.
create unique index ticket_open on ticket (conversation_id, queue_id) where status <> 'Closed';
create index ticket_conversation on ticket (conversation_id, id);
create index ticket_wake on ticket (wake_at) where wake_at is not null;
create index ticket_unassigned on ticket (queue_id, id) where assignee = '' and status in ('New', 'Open');
create index ticket_assignee on ticket (assignee) where status in ('New', 'Open', 'Pending');
create index ticket_live on ticket (due_at, id) where status in ('New', 'Open', 'Pending');
create index ticket_queue on ticket (queue_id, status, id);

-- What happened to conversations and tickets, and which agent of ours did it, by which API token.
create table conversation_event (
    id              bigint      generated always as identity primary key,
    conversation_id bigint      not null references conversation on delete cascade,
    kind            text        not null, -- Opened, Reopened, Closed, Snoozed, Woken, Claimed, Released, TakenUp, Answered, Failed, Ambiguous, Noted
    at              timestamptz not null,
    agent           text        not null default '',
    token           text        not null default '',
    noted_at        timestamptz not null default clock_timestamp()
);
create index conversation_event_conversation on conversation_event (conversation_id, id);

create table ticket_event (
    id              bigint      generated always as identity primary key,
    ticket_id       bigint      not null references ticket on delete cascade,
    conversation_id bigint      not null,
    kind            text        not null, -- Opened, Assigned, Prioritised, Held, Answered, Solved, Reopened, Closed, Warned, Missed, Escalated
    at              timestamptz not null,
    agent           text        not null default '',
    token           text        not null default '',
    detail          text        not null default '', -- of Assigned, to whom; of Warned and Missed the target; of Escalated the step
    noted_at        timestamptz not null default clock_timestamp()
);
create index ticket_event_ticket on ticket_event (ticket_id, id);

-- Counts, so that nobody counts tickets. A queue has several rows, so that workers do not wait for one another. What is measured outlives tickets.
create table service_tally (
    queue_id        bigint   not null,
    slot            smallint not null,
    backlog         bigint   not null default 0,
    unassigned      bigint   not null default 0,
    breached        bigint   not null default 0, -- of the backlog
    opened          bigint   not null default 0,
    first_count     bigint   not null default 0,
    first_work      bigint   not null default 0,
    first_calendar  bigint   not null default 0,
    next_count      bigint   not null default 0,
    next_work       bigint   not null default 0,
    next_calendar   bigint   not null default 0,
    solve_count     bigint   not null default 0,
    solve_work      bigint   not null default 0,
    solve_calendar  bigint   not null default 0,
    missed_first    bigint   not null default 0,
    missed_next     bigint   not null default 0,
    missed_solve    bigint   not null default 0,
    told            boolean  not null default false,
    primary key (queue_id, slot)
) with (fillfactor = 50);
create index service_tally_untold on service_tally (queue_id) where not told;

-- What came in and may be a message to us.
create table message_intake (
    mention_id bigint      primary key,
    at         timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- What we said elsewhere than in a conversation: what answers it is a message to us. It names nobody but ourselves.
create table own_post (
    network   text        not null,
    native_id text        not null,
    at        timestamptz not null default clock_timestamp(),
    primary key (network, native_id)
);

-- Entries of rules know the conversation and the ticket that they are about.
alter table automation_entry add column conversation_id bigint, add column ticket_id bigint;
create index automation_entry_conversation on automation_entry (conversation_id, awaits)
    where status = 'Waiting' and awaits is not null and conversation_id is not null;
create index automation_entry_ticket on automation_entry (ticket_id, awaits) where status = 'Waiting' and awaits is not null and ticket_id is not null;

---------------------------------------------------------------------------------------------------------------- what comes in

-- message_intake_follow brings the functions that note what may be a message to us in line with who wants them: without a queue, a channel that
-- answers, or a rule that listens, they do nothing. Ours are the accounts that monitors name, and those by which channels post. A name without a host is
-- that of an account of the source's own instance: elsewhere anybody may have it.
-- +goose StatementBegin
create function message_intake_follow() returns void
    language plpgsql as $f$
declare
    looked_up constant text := 'set jit = off set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off';
    nothing constant text := 'begin return null; end';
    posts text := nothing;
    named text := nothing;
    ours text[];
begin
    perform pg_advisory_xact_lock(1902115852, 0);
    if not coalesce((select suspended from tertulia.tenant), false) and (
        exists (select from tertulia.service_queue q where q.dormant_since is null)
        or exists (select from tertulia.social_source s where s.reply_channel <> '' and s.dormant_since is null)
        or exists (select from tertulia.domain_event_watch w join tertulia.domain_event_wanted u on u.watch_id = w.id
            where w.event ~ '^(message.received|conversation[.]|ticket[.])')) then
        posts := $b$
begin
    insert into tertulia.message_intake (mention_id)
    select n.id from became n
    where n.forgotten_at is null and n.kind <> 'Repost' and n.created_at > now() - interval '14 days' and (n.kind = 'Message'
        or n.parent is not null and exists (select from tertulia.own_post o where o.network = n.network and o.native_id = n.parent))
    on conflict do nothing;
    return null;
end $b$;
        select coalesce(array_agg(distinct lower(ltrim(btrim(a), '@'))), '{}') into ours
        from tertulia.monitor m cross join unnest(m.accounts) a where m.dormant_since is null and not m.suspended;
        named := format($b$
begin
    insert into tertulia.message_intake (mention_id)
    select distinct n.mention_id from became n join tertulia.author a on a.id = n.author_id
    where lower(a.handle) = any (%1$L) or lower(a.native_id) = any (%1$L)
        or split_part(lower(a.handle), '@', 1) = any (%1$L) and split_part(lower(a.handle), '@', 2) = lower(substr(a.network, strpos(a.network, ':') + 1))
        or lower(a.handle) in (select lower(ltrim(to_jsonb(k) ->> 'account', '@')) from tertulia.channel k)
        or a.native_id in (select to_jsonb(k) ->> 'account_id' from tertulia.channel k where to_jsonb(k) ->> 'account_id' like 'did:%%')
    on conflict do nothing;
    return null;
end $b$, ours);
    end if;
    perform tertulia.segment_write_function('intake_posts', looked_up, posts);
    perform tertulia.segment_write_function('intake_named', looked_up, named);
end $f$;
-- +goose StatementEnd

select message_intake_follow();
create trigger message_intake after insert on mention referencing new table as became for each statement execute function intake_posts();
create trigger message_intake after insert on mention_account referencing new table as became for each statement execute function intake_named();

-- +goose StatementBegin
create function follow_intake() returns trigger
    language plpgsql as $f$
begin
    perform tertulia.message_intake_follow();
    return null;
end $f$;
-- +goose StatementEnd
create trigger follow_intake after insert or delete or update of dormant_since, suspended on service_queue for each statement execute function follow_intake();
create trigger follow_intake after insert or delete or update of dormant_since, reply_channel on social_source
    for each statement execute function follow_intake();
create trigger follow_intake after insert or delete or update of accounts, dormant_since, suspended on monitor for each statement execute function follow_intake();
create trigger follow_intake after insert or update of suspended on tenant for each statement execute function follow_intake();

---------------------------------------------------------------------------------------------------------------- what rules listen to

alter function domain_event_follow() rename to domain_event_follow_people;

-- What happens to one conversation stands in one shard, in its order. Whose it is is found when it is handled.
-- +goose StatementBegin
create function domain_event_follow_service() returns void
    language plpgsql as $f$
declare
    hashed constant text := 'set jit = off set enable_nestloop = off';
begin
    perform tertulia.segment_write_function('domain_event_message', hashed, tertulia.domain_event_body('{message.received}',
        'select w.id, null::bigint, n.conversation_id, n.id, n.mention_id, null::text from became n cross join %s
            where n.direction = ''In'' and not n.taken and n.written_at > now() - interval ''1 day'''));
    perform tertulia.segment_write_function('domain_event_confirmed', hashed, tertulia.domain_event_body('{message.received}',
        'select w.id, null::bigint, n.conversation_id, n.id, n.mention_id, null::text from was o join became n on n.id = o.id cross join %s
            where n.direction = ''In'' and o.taken and not n.taken and n.written_at > now() - interval ''1 day'''));
    perform tertulia.segment_write_function('domain_event_conversation', hashed, tertulia.domain_event_body('{conversation.opened,conversation.closed}',
        'select w.id, null::bigint, n.conversation_id, n.id, null::bigint, null::text from became n join %s
            on w.event = case n.kind when ''Opened'' then ''conversation.opened'' when ''Closed'' then ''conversation.closed'' end
            where n.at > now() - interval ''1 day'''));
    perform tertulia.segment_write_function('domain_event_ticket', hashed, tertulia.domain_event_body(
        '{ticket.opened,ticket.assigned,ticket.answered,ticket.resolved,ticket.closed,ticket.breached}',
        'select w.id, null::bigint, n.conversation_id, n.id, n.ticket_id, null::text from became n join %s
            on w.event = case n.kind when ''Opened'' then ''ticket.opened'' when ''Assigned'' then ''ticket.assigned''
                when ''Answered'' then ''ticket.answered'' when ''Solved'' then ''ticket.resolved'' when ''Closed'' then ''ticket.closed''
                when ''Missed'' then ''ticket.breached'' end
            where n.at > now() - interval ''1 day'''));
    perform tertulia.message_intake_follow();
end $f$;
-- +goose StatementEnd

-- +goose StatementBegin
create function domain_event_follow() returns void
    language plpgsql as $f$
begin
    perform tertulia.domain_event_follow_people();
    perform tertulia.domain_event_follow_service();
end $f$;
-- +goose StatementEnd

select domain_event_follow();
create trigger domain_event_added after insert on message referencing new table as became for each statement execute function domain_event_message();
create trigger domain_event_changed after update on message referencing old table as was new table as became for each statement
    execute function domain_event_confirmed();
create trigger domain_event after insert on conversation_event referencing new table as became for each statement execute function domain_event_conversation();
create trigger domain_event after insert on ticket_event referencing new table as became for each statement execute function domain_event_ticket();

---------------------------------------------------------------------------------------------------------------- counting

-- count_tickets keeps the counts of queues, whoever writes tickets. What was measured of a ticket that is erased stays counted.
-- +goose StatementBegin
create function count_tickets() returns trigger
    language plpgsql set jit = off as $f$
begin
    if tg_op = 'INSERT' then
        insert into tertulia.service_tally as t (queue_id, slot, backlog, unassigned, breached, opened)
        select n.queue_id, (pg_backend_pid() & 7)::smallint, count(*) filter (where n.status in ('New', 'Open', 'Pending')),
            count(*) filter (where n.status in ('New', 'Open', 'Pending') and n.assignee = ''),
            count(*) filter (where n.status in ('New', 'Open', 'Pending') and n.missed_first + n.missed_next + n.missed_solve > 0), count(*)
        from became n group by n.queue_id order by n.queue_id
        on conflict (queue_id, slot) do update set backlog = t.backlog + excluded.backlog, unassigned = t.unassigned + excluded.unassigned,
            breached = t.breached + excluded.breached, opened = t.opened + excluded.opened, told = false;
        return null;
    end if;
    if tg_op = 'DELETE' then
        insert into tertulia.service_tally as t (queue_id, slot, backlog, unassigned, breached)
        select d.* from (
            select o.queue_id, (pg_backend_pid() & 7)::smallint, -count(*) filter (where o.status in ('New', 'Open', 'Pending')) backlog,
                -count(*) filter (where o.status in ('New', 'Open', 'Pending') and o.assignee = ''),
                -count(*) filter (where o.status in ('New', 'Open', 'Pending') and o.missed_first + o.missed_next + o.missed_solve > 0)
            from was o group by o.queue_id) d where d.backlog <> 0 order by d.queue_id
        on conflict (queue_id, slot) do update set backlog = t.backlog + excluded.backlog, unassigned = t.unassigned + excluded.unassigned,
            breached = t.breached + excluded.breached, told = false;
        return null;
    end if;
    insert into tertulia.service_tally as t (queue_id, slot, backlog, unassigned, breached, first_count, first_work, first_calendar, next_count, next_work,
        next_calendar, solve_count, solve_work, solve_calendar, missed_first, missed_next, missed_solve)
    select d.queue_id, (pg_backend_pid() & 7)::smallint, d.backlog, d.unassigned, d.breached, d.first_count, d.first_work, d.first_calendar, d.next_count,
        d.next_work, d.next_calendar, d.solve_count, d.solve_work, d.solve_calendar, d.missed_first, d.missed_next, d.missed_solve
    from (
        select m.queue_id,
            coalesce(sum(m.n) filter (where m.live), 0) backlog,
            coalesce(sum(m.n) filter (where m.live and m.assignee = ''), 0) unassigned,
            coalesce(sum(m.n) filter (where m.live and m.missed_first + m.missed_next + m.missed_solve > 0), 0) breached,
            coalesce(sum(m.n) filter (where m.first_work is not null), 0) first_count,
            coalesce(sum(m.n * m.first_work), 0) first_work, coalesce(sum(m.n * m.first_calendar), 0) first_calendar,
            sum(m.n * m.next_count) next_count, sum(m.n * m.next_work) next_work, sum(m.n * m.next_calendar) next_calendar,
            coalesce(sum(m.n) filter (where m.solve_work is not null), 0) solve_count,
            coalesce(sum(m.n * m.solve_work), 0) solve_work, coalesce(sum(m.n * m.solve_calendar), 0) solve_calendar,
            sum(m.n * m.missed_first) missed_first, sum(m.n * m.missed_next) missed_next, sum(m.n * m.missed_solve) missed_solve
        from (
            select -1 n, o.queue_id, o.status in ('New', 'Open', 'Pending') live, o.assignee, o.first_work, o.first_calendar, o.next_count, o.next_work,
                o.next_calendar, o.solve_work, o.solve_calendar, o.missed_first, o.missed_next, o.missed_solve from was o
            union all
            select 1, n.queue_id, n.status in ('New', 'Open', 'Pending'), n.assignee, n.first_work, n.first_calendar, n.next_count, n.next_work,
                n.next_calendar, n.solve_work, n.solve_calendar, n.missed_first, n.missed_next, n.missed_solve from became n) m
        group by m.queue_id) d
    where (d.backlog, d.unassigned, d.breached, d.first_count, d.first_work, d.first_calendar, d.next_count, d.next_work, d.next_calendar, d.solve_count,
        d.solve_work, d.solve_calendar, d.missed_first, d.missed_next, d.missed_solve) is distinct from (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    order by d.queue_id
    on conflict (queue_id, slot) do update set backlog = t.backlog + excluded.backlog, unassigned = t.unassigned + excluded.unassigned,
        breached = t.breached + excluded.breached, first_count = t.first_count + excluded.first_count, first_work = t.first_work + excluded.first_work,
        first_calendar = t.first_calendar + excluded.first_calendar, next_count = t.next_count + excluded.next_count,
        next_work = t.next_work + excluded.next_work, next_calendar = t.next_calendar + excluded.next_calendar,
        solve_count = t.solve_count + excluded.solve_count, solve_work = t.solve_work + excluded.solve_work,
        solve_calendar = t.solve_calendar + excluded.solve_calendar, missed_first = t.missed_first + excluded.missed_first,
        missed_next = t.missed_next + excluded.missed_next, missed_solve = t.missed_solve + excluded.missed_solve, told = false;
    return null;
end $f$;
-- +goose StatementEnd
create trigger count_added after insert on ticket referencing new table as became for each statement execute function count_tickets();
create trigger count_changed after update on ticket referencing old table as was new table as became for each statement execute function count_tickets();
create trigger count_removed after delete on ticket referencing old table as was for each statement execute function count_tickets();

---------------------------------------------------------------------------------------------------------------- forgetting

-- A message that is forgotten takes its conversation with it, where nothing else came in there; else what was said after it, which may quote it. What is
-- only too old takes nothing with it.
-- +goose StatementBegin
create function forget_conversations() returns trigger language plpgsql
    set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $f$
declare
    touched bigint[] := array(select distinct w.conversation_id from was w where w.direction = 'In');
    gone record;
begin
    if touched = '{}' then
        return null;
    end if;
    perform from tertulia.conversation c where c.id = any (touched) order by c.id for update;
    delete from tertulia.conversation c where c.id = any (touched)
        and not exists (select from tertulia.message m where m.conversation_id = c.id and m.direction = 'In');
    for gone in
        select w.conversation_id, min(w.version) since, min(w.written_at) at from was w join tertulia.mention t on t.id = w.mention_id
        where w.direction = 'In' and t.forgotten_at is not null and exists (select from tertulia.conversation c where c.id = w.conversation_id)
        group by w.conversation_id
    loop
        delete from tertulia.message m where m.conversation_id = gone.conversation_id and m.direction = 'Out' and m.version > gone.since;
        delete from tertulia.note n where n.conversation_id = gone.conversation_id and n.at >= gone.at;
        update tertulia.ticket t set subject = '' where t.conversation_id = gone.conversation_id and t.subject <> '';
    end loop;
    return null;
end $f$;
-- +goose StatementEnd
create trigger forget_conversations after delete on message referencing old table as was for each statement execute function forget_conversations();

-- Who is forgotten takes all conversations with them, and from those of others in which they wrote what may quote them.
-- +goose StatementBegin
create function forget_talk() returns trigger language plpgsql
    set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $f$
declare
    shared bigint[];
begin
    delete from tertulia.conversation c where c.author_id = new.id;
    shared := array(select distinct m.conversation_id from tertulia.mention t join tertulia.message m on m.mention_id = t.id where t.author_id = new.id);
    if shared <> '{}' then
        delete from tertulia.message m where m.conversation_id = any (shared) and m.direction = 'Out';
        delete from tertulia.note n where n.conversation_id = any (shared);
        update tertulia.ticket t set subject = '' where t.conversation_id = any (shared) and t.subject <> '';
    end if;
    return null;
end $f$;
-- +goose StatementEnd
create trigger forget_talk after update of forgetting on author for each row when (new.forgetting and not old.forgetting) execute function forget_talk();

-- +goose Down
-- Forward only.
