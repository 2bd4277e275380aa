-- +goose Up

-- Monitors: topics that are found in what sources stored, counted in steps of five minutes, and watched for bursts of negative mentions.
create table monitor (
    id            bigint  generated always as identity primary key,
    name          text    not null unique,
    sources       text[]  not null default '{}', -- whose posts count; none: all
    accounts      text[]  not null default '{}', -- ours, by which answers are told from questions
    crisis        jsonb   not null default '{}',
    time_zone     text    not null default '',   -- '' is the tenant's
    suspended     boolean not null default false,
    dormant_since timestamptz,
    -- Questions and answers that came until then were looked at.
    answers_to    timestamptz
);

-- What somebody wants to hear about. One that is not declared any more keeps its counts.
create table topic (
    id         bigint      generated always as identity primary key,
    monitor_id bigint      not null references monitor,
    name       text        not null,
    role       text        not null, -- Brand, Product, Competitor
    definition jsonb       not null,
    dropped_at timestamptz,
    -- What came before is history: a burst in it raises no alarm.
    live_from  timestamptz not null default now(),
    -- What is stored is compared with a new definition in the order of ids: up to here; null when that is done. What came while workers may
    -- have had the definition before is compared a second time, from match_again on.
    matched_to  bigint,
    match_again bigint,
    changed_at  timestamptz not null default now(),
    unique (monitor_id, name)
);
create index topic_matching on topic (id) where matched_to is not null;

-- Changes whenever another set of topics is in force.
create table topic_version (
    singleton boolean primary key default true check (singleton),
    version   bigint  not null default 1
);
insert into topic_version default values;

-- How often a topic was mentioned within five minutes, by when posts were written, and the first source that brought them for the topic; source 0 is
-- counts alone that somebody filled in: they stand for all sources of their step. A step without a row had none.
create table monitor_tally (
    topic_id   bigint      not null references topic,
    source_id  bigint      not null,
    step       timestamptz not null,
    mentions   bigint      not null default 0,
    negatives  bigint      not null default 0,
    positives  bigint      not null default 0,
    engagement bigint      not null default 0, -- likes, reposts and replies
    authors    int,                            -- of counts alone; of others who wrote is counted when it is asked for
    primary key (topic_id, source_id, step)
) with (fillfactor = 80);
create index monitor_tally_step on monitor_tally (topic_id, step);

-- How far each topic was watched, and what the detector knows besides counts.
create table monitor_detector (
    topic_id     bigint  primary key references topic on delete cascade,
    evaluated_to timestamptz,                   -- the end of the last step that was
    state        jsonb,
    relearn      boolean not null default true, -- the history is another one than what the state was learned from
    ready        boolean not null default false,
    evaluated_at timestamptz
) with (fillfactor = 50);

-- Bursts of negative mentions.
create table incident (
    id           bigint      generated always as identity primary key,
    public_id    uuid        not null default gen_random_uuid() unique,
    topic_id     bigint      not null references topic,
    from_history boolean     not null, -- found when history was learned: nobody was alarmed
    began        timestamptz not null,
    opened       timestamptz not null,
    last_unusual timestamptz not null,
    closed       timestamptz,
    ending       text,
    rule         text        not null,
    evidence     jsonb       not null,
    peak         bigint      not null,
    peak_usual   float8      not null,
    drivers      jsonb       not null default '{}' -- terms, sources and public ids: no text and no person
);
create unique index incident_open on incident (topic_id) where closed is null;
create index incident_topic on incident (topic_id, opened);

-- What happened to incidents, for rules and webhooks. Who writes holds a lock until the transaction ends: ids follow the order of commits,
-- so that reading after an id misses nothing.
create table incident_event (
    id          bigint      generated always as identity primary key,
    incident_id bigint      not null references incident,
    kind        text        not null, -- Opened, Updated, Closed
    at          timestamptz not null,
    noted_at    timestamptz not null default clock_timestamp(),
    incident    jsonb       not null, -- as it was then
    unique (incident_id, kind, at)
);

-- When somebody asked us something, and when we answered first.
create table mention_response (
    monitor_id  bigint      not null references monitor,
    mention_id  bigint      not null,
    asked_at    timestamptz not null,
    first_seen  timestamptz not null,
    answered_at timestamptz,
    answer_id   bigint,
    primary key (monitor_id, mention_id)
);
create index mention_response_asked on mention_response (monitor_id, asked_at);
create index mention_response_open on mention_response (mention_id) where answered_at is null;

-- +goose StatementBegin
create function topics_changed() returns trigger language plpgsql as $$
begin
    update tertulia.topic_version set version = version + 1;
    return null;
end $$;
-- +goose StatementEnd
create trigger topics_changed after insert or delete or update of name, role, definition, dropped_at on topic
    for each statement execute function topics_changed();
create trigger topics_changed after update of name, sources, suspended, dormant_since on monitor
    for each statement execute function topics_changed();

-- +goose Down
-- Forward only.
