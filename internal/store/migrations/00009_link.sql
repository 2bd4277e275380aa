-- +goose Up

-- Where the tracked links of a send lead. A worker writes them when it first writes a message of the send, and they stay for
-- as long as the send does: mails are opened years later. A link that holds a recipient's values stands here as its template
-- has it, so that clicks on it are counted together; its token says where it leads.
create table link (
    id      bigint generated always as identity primary key,
    send_id bigint not null references send,
    url     text   not null check (octet_length(url) between 1 and 2000),
    unique (send_id, url)
);

-- +goose Down
-- Forward only.
