-- +goose Up

-- The workers and servers that work for the tenant. Each writes its own row when something in it changes, and now and then
-- while nothing does; one that ends well deletes it.
create table process (
    id         text        primary key, -- of one start of one process
    kind       text        not null check (kind in ('worker', 'server')),
    version    text        not null,
    digest     text        not null,    -- of the tenant directory that it uses
    started_at timestamptz not null,
    seen_at    timestamptz not null default now()
);

-- +goose Down
-- Forward only.
