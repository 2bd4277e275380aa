-- +goose Up
-- Who is in a send is looked up by send, person and step. With the step in the second place the index by address served that as well,
-- and the planner, which knows nothing of a ledger that has just been written, took it: it read the whole send for each person.
drop index ledger_contact;
create unique index ledger_contact on ledger (send_id, contact_id, step) nulls not distinct;
drop index ledger_address;
create unique index ledger_address on ledger (send_id, address_hash, step);
