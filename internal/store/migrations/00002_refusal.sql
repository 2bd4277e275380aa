-- +goose Up

-- Addresses whose holder has said no to a purpose over the link in a mail, by keyed hash. The mail went to an address, and
-- another contact may have it, perhaps one that is imported later: who said no is not written to on that contact's account.
create table refusal (
    address_hash bytea       not null,
    purpose      text        not null,
    source       text        not null,
    recorded_at  timestamptz not null default now(),
    primary key (address_hash, purpose)
);

-- +goose Down
-- Forward only.
