-- +goose Up

-- How a send is timed, tested and topped up. A worker reads all of it here, so that it goes on without the cluster.
alter table send
    -- 0: a mass mail. 10: a message that somebody waits for, which overtakes them.
    add column priority smallint not null default 0,
    -- The schedule as it is declared: campaign.Timing.
    add column timing jsonb not null default '{}',
    -- Of a declaration that recurs, which has the occurrence '' and is never frozen itself: workers insert its occurrences as
    -- sends of their own when they are due. Null in every other send.
    add column cron text,
    -- The occurrence that a declaration comes to next, a local date and time; null when none will come.
    add column next_occurrence text,
    -- Nothing is begun after this moment; null for no end.
    add column ends_at timestamptz,
    -- Percent of the audience that gets nothing, to compare with.
    add column hold_out smallint not null default 0,
    -- How the best variant is found: campaign.Test; null where each recipient gets the variant that is drawn.
    add column test jsonb,
    -- The variant that the recipients of stage 1 get, by its place in variants; null until it is decided.
    add column winner smallint,
    -- The numbers by which it was decided: campaign.Decision.
    add column decision jsonb,
    -- Whether those who enter the audience after the freeze are written to as well.
    add column rolling boolean not null default false,
    -- Whether also those who entered because a segment was edited.
    add column adds_on_edit boolean not null default false,
    -- Of a rolling send, by segment: the definition that additions are judged by, and since when: campaign.Basis.
    add column basis jsonb;

-- +goose Down
-- Forward only.
