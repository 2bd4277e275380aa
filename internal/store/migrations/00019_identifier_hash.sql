-- +goose Up

-- The keyed hash of an e-mail address, so that an audience's freeze and every intent need not compute it. Neither the address nor the
-- key ever changes. It is null where who wrote the row left it to them.
alter table identifier add column hash bytea;

-- +goose Down
-- Forward only.
