-- +goose Up

-- What people said of how a mention was judged. It goes with what the mention says.
create table mention_correction (
    id         bigint      generated always as identity primary key,
    mention_id bigint      not null,
    label      text        not null, -- negative, neutral, positive
    was        text        not null, -- the label until then,
    was_engine text        not null, -- and who decided on it
    token      text        not null, -- by which it was said
    decided_by text        not null,
    reason     text        not null default '',
    decided_at timestamptz not null default now()
);
create index mention_correction_mention on mention_correction (mention_id, id);

-- +goose Down
-- Forward only.
