-- +goose Up

-- The span in which a send was declared, as W3C Trace Context writes it: what workers and servers do for the send belongs
-- to the same trace. Null where nobody recorded one.
alter table send add column traceparent text;

-- +goose Down
-- Forward only.
