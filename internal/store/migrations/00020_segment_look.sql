-- +goose Up

-- What segments tell of themselves: how long the last build took, from the moment that nobody had to be waited for, and how many
-- memberships a verification has ever repaired.
alter table segment add column build_took interval;
alter table segment add column repaired bigint not null default 0;
alter table segment add column repaired_at timestamptz;

-- +goose Down
-- Forward only.
