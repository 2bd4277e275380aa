-- +goose Up

-- Tokens that a provider has signed, where it signs nothing else: each counts for what it came with first. When the signature's
-- time is over, the token is refused for its age and need not be remembered.
create table hook_token (
    channel    text        not null,
    token      bytea       not null, -- SHA-256
    content    bytea       not null, -- SHA-256 of what it came with
    expires_at timestamptz not null,
    primary key (channel, token)
);
create index hook_token_expires on hook_token (expires_at);

-- +goose Down
-- Forward only.
