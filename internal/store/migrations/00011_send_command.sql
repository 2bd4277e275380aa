-- +goose Up

-- What people decided about the sends of a campaign, beside its manifest: a send is known by its key, so that a decision
-- outlives the object. Rows are added and never taken back: a resume ends the pauses before it.
create table send_command (
    id       bigint generated always as identity primary key,
    send_key text        not null,
    verb     text        not null check (verb in ('pause', 'resume', 'abort', 'resend-ambiguous')),
    token    text        not null,           -- the name of the API token
    by_whom  text        not null,           -- whom the caller named
    reason   text,
    until    timestamptz,                    -- of a pause that ends by itself
    at       timestamptz not null default now(),
    ended_at timestamptz,                    -- of a pause: since when it holds nothing up
    affected bigint      not null default 0, -- of resend-ambiguous: how many messages are to be sent again
    check (verb = 'pause' or until is null and ended_at is null)
);
create index send_command_key on send_command (send_key, id);
create index send_command_pause on send_command (send_key) where verb = 'pause' and ended_at is null;

-- +goose Down
-- Forward only.
