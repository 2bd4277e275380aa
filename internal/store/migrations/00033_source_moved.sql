-- +goose Up

-- Where what a source reads has moved to for ever, as its network says: its author has to write it into the manifest.
alter table social_source_state add column moved text;

-- +goose Down
-- Forward only.
