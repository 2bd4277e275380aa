-- +goose Up

-- Who takes the mail of a domain: domains with the same mail exchangers have one receiver, whose pace they share. A domain
-- whose exchangers are not known is a receiver of its own.
create table receiver (
    id   int  generated always as identity primary key,
    name text not null unique -- the domain, or the registrable domain of its mail exchangers
);

create table receiving_domain (
    domain       text primary key, -- what follows the @ of an address, in lower case
    receiver_id  int  not null references receiver,
    looked_up_at timestamptz       -- when its mail exchangers were last asked for; null for never
);

-- The receiver of a row's address as it was frozen; 0 where it has none, or is not known.
alter table ledger add column receiver int not null default 0;

-- A chunk holds rows of one receiver where a send has enough of them, so that a receiver that is slow holds up its own chunks
-- and no others; 0 for a chunk of several. Rows of stage 1 wait until the send's winner is decided.
alter table send_chunk add column receiver int not null default 0;
alter table send_chunk add column stage smallint not null default 0;

-- +goose Down
-- Forward only.
