-- +goose Up

-- The server that judges how posts speak: protocol, url, model. Null: the words and rules that come with Tertulia. Its token is in no row.
alter table tenant add column sentiment jsonb;

-- +goose Down
-- Forward only.
