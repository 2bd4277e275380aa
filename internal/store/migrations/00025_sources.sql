-- +goose Up

-- Up to which contact a new order of sources counts for people of several records; null where it does for all.
alter table record_type add column settled_to bigint;

-- +goose Down
-- Forward only.
