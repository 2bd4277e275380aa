-- +goose Up

-- What happens to a ticket is what a rule did, where one did something to its conversation just before: so rules are found that set each other off.
create index automation_entry_acted on automation_entry (conversation_id, acted_at) where conversation_id is not null and acted_at is not null;

-- +goose Down
-- Forward only.
