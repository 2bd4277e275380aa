-- +goose Up

-- What was learned from people's corrections of how mentions in a language were judged, and how it did on those that were held back. A model
-- holds weights by hashes of words, and no text.
create table sentiment_model (
    language        text        primary key,
    model           bytea       check (octet_length(model) <= 262144), -- null: not used
    trained_at      timestamptz not null default now(),
    corrections     int         not null, -- that there were
    held_back       int         not null,
    last_correction bigint      not null, -- the newest of them
    f1_model        float8      not null, -- macro-F1 on what was held back, from 0 to 1; 0 where none was tried
    f1_lexicon      float8      not null,
    p               float8      not null, -- how likely the gain is chance
    in_use          boolean     not null check (in_use = (model is not null)),
    refused         text        not null default '' -- why it is not used
);

-- +goose Down
-- Forward only.
