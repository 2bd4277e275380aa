-- +goose Up

-- Where conversations come in from, and what was said there.

insert into secret_key (purpose, key)
select 'mention', sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'));

create table social_source (
    id            bigint   generated always as identity primary key,
    name          text     not null unique,
    type          text     not null, -- Feed, Mastodon, Bluesky, Mailbox, Webhook
    settings      jsonb    not null, -- of its type; credentials are never in it
    languages     text[]   not null default '{}', -- whose posts are kept; none: all
    poll_every    interval not null,
    keep          interval not null, -- what is older is forgotten
    suspended     boolean  not null default false,
    dormant_since timestamptz
);

-- What workers write about a source. epoch rises with every lease and with every change of what is declared: who holds an older one
-- writes nothing any more.
create table social_source_state (
    source_id       bigint      primary key references social_source on delete cascade,
    epoch           bigint      not null default 0,
    worker          text,
    leased_until    timestamptz,
    next_at         timestamptz not null default now(),
    cursor          json,        -- as the connector wrote it: not jsonb, which would refuse some and change others
    failures        int         not null default 0,
    trouble         text,        -- reason; null while it can be read
    trouble_message text,
    trouble_since   timestamptz,
    stored          bigint      not null default 0, -- mentions that it ever brought
    stored_at       timestamptz,
    rejected        bigint      not null default 0,
    gaps            bigint      not null default 0,
    read_at         timestamptz, -- when it was last read without trouble
    listened_at     timestamptz, -- until when everything had come in
    hooked_at       timestamptz, -- when its address last took something
    told_stored     bigint      not null default 0, -- as its object's status was last told
    told_at         timestamptz
) with (fillfactor = 50);
create index social_source_state_due on social_source_state (next_at);

-- Times of which nothing can be known any more.
create table source_gap (
    id        bigint      generated always as identity primary key,
    source_id bigint      not null references social_source on delete cascade,
    from_at   timestamptz, -- null where it is not known since when
    to_at     timestamptz not null,
    reason    text        not null,
    noted_at  timestamptz not null default now()
);
create index source_gap_source on source_gap (source_id, to_at);

-- Who writes on a network, or is named there. A key is the keyed hash of the network and the id there: by it is known who was forgotten.
-- An author is no contact: the identifier has links only where a rule or a person makes them.
create table author (
    id            bigint      generated always as identity primary key,
    public_id     uuid        not null default gen_random_uuid() unique,
    key           bytea       not null unique,
    network       text        not null,
    native_id     text,        -- null for one whom the network does not name but by a handle, and for the forgotten
    handle        text        not null default '',
    name          text        not null default '',
    url           text        not null default '',
    followers     bigint,
    registered_at timestamptz, -- on the network
    bot           boolean     not null default false,
    identifier_id bigint      references identifier on delete set null,
    seen_at       timestamptz not null default now(), -- when the profile last changed
    forgotten_at  timestamptz, -- what was written until then never comes back
    forgetting    boolean     not null default false -- not all that they wrote is forgotten yet
) with (fillfactor = 90);
create index author_identifier on author (identifier_id) where identifier_id is not null;
create index author_forgetting on author (id) where forgetting;
create index author_nobody on author (id) where native_id is null and handle = '';

-- What somebody wrote, once for each network and id there: the edition that counts. Nothing refers to authors and mentions by a foreign key,
-- which would look up each of some hundred thousand rows: who deletes an author or a mention holds off those who write.
create table mention (
    id           bigint      generated always as identity primary key,
    public_id    uuid        not null default gen_random_uuid(),
    key          bytea       not null, -- keyed hash of the network and the id there
    network      text        not null,
    native_id    text,       -- null: forgotten, and nothing but the key and the times is left
    source_id    bigint      not null, -- which brought it first
    author_id    bigint,     -- null for somebody whom the network does not name
    kind         text        not null,
    visibility   text        not null,
    created_at   timestamptz not null,
    received_at  timestamptz not null default now(),
    revision     text        not null default '',
    edited_at    timestamptz,
    url          text        not null default '',
    title        text        not null default '',
    text         text        not null default '',
    language     text        not null default '',
    thread       text,
    parent       text,
    subject      text,
    tags         text[]      not null default '{}',
    links        text[]      not null default '{}',
    likes        bigint,     -- null where the network does not say
    reposts      bigint,
    replies      bigint,
    views        bigint,
    rating       double precision,
    rating_best  double precision,
    label        text        not null, -- negative, neutral, positive
    polarity     real        not null,
    confidence   real        not null,
    ironic       boolean     not null default false,
    deciding     jsonb,      -- the words that decided: [{"Text", "Weight", "Because"}]
    engine       text        not null,
    words        tsvector    not null default '', -- in the stems of its language
    forgotten_at timestamptz
) with (fillfactor = 90);
create unique index mention_key on mention (key);
create unique index mention_public on mention (public_id);
create index mention_newest on mention (created_at, id);
create index mention_author on mention (author_id, created_at, id) where author_id is not null;
create index mention_network on mention (network, created_at, id);
create index mention_parent on mention (network, parent) where parent is not null;
create index mention_thread on mention (network, thread) where thread is not null;
create index mention_received on mention using brin (received_at) with (autosummarize = on);
create index mention_words on mention using gin (words);

-- Through which sources it came.
create table mention_source (
    mention_id bigint      not null,
    source_id  bigint      not null,
    created_at timestamptz not null, -- the mention's
    primary key (mention_id, source_id)
);
create index mention_source_newest on mention_source (source_id, created_at, mention_id);

-- What it is about, and the terms that were found. It counts for the source that was the first to bring it for that topic.
create table mention_topic (
    mention_id bigint      not null,
    topic_id   bigint      not null,
    source_id  bigint      not null,
    created_at timestamptz not null, -- the mention's
    terms      text[]      not null,
    primary key (mention_id, topic_id)
);
create index mention_topic_newest on mention_topic (topic_id, created_at, mention_id);

-- Whom it names.
create table mention_account (
    mention_id bigint not null,
    author_id  bigint not null,
    primary key (mention_id, author_id)
);
create index mention_account_author on mention_account (author_id);

create table mention_media (
    mention_id  bigint   not null,
    place       smallint not null,
    type        text     not null, -- Image, Video, Audio, Other
    url         text     not null,
    description text     not null,
    primary key (mention_id, place)
);

-- Editions that do not count any more.
create table mention_revision (
    id          bigint      generated always as identity primary key,
    mention_id  bigint      not null,
    revision    text        not null,
    edited_at   timestamptz, -- null for the first
    received_at timestamptz not null default now(),
    title       text        not null,
    text        text        not null,
    language    text        not null,
    label       text        not null,
    polarity    real        not null
);
create unique index mention_revision_edition on mention_revision (mention_id, revision, edited_at) nulls not distinct;

-- The stems of a text by which it is found: in its own language, and in both where that is another one or nobody knows. The text has no
-- accents but the one of -ión, which only the Spanish stemmer needs.
-- +goose StatementBegin
create function mention_words(language text, t text) returns tsvector language sql immutable parallel safe
    return case language when 'es' then to_tsvector('pg_catalog.spanish', t) when 'en' then to_tsvector('pg_catalog.english', translate(t, 'ó', 'o'))
        else to_tsvector('pg_catalog.spanish', t) || to_tsvector('pg_catalog.english', translate(t, 'ó', 'o')) end;
-- +goose StatementEnd

-- Who is erased is forgotten with what they wrote, by what they are verified to be known by. Their links were taken back in the same
-- transaction; a contact that is merged goes on as a record, whose links are not. What they wrote is deleted soon after, bit by bit.
-- +goose StatementBegin
create function forget_erased_authors() returns trigger language plpgsql
    set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$ -- about a few, whatever the planner knows
declare
    gone bigint[] := array(select id from was);
begin
    update tertulia.author a set native_id = null, handle = '', name = '', url = '', followers = null, registered_at = null, bot = false,
        identifier_id = null, seen_at = now(), forgotten_at = now(), forgetting = true
    where a.identifier_id in (
        select g.identifier_id from tertulia.identifier_link_log g
        where g.record_id = any (gone) and g.verified and g.revoked_at = now() and g.revoked_why = 'unlinked'
            and not exists (select from tertulia.contact c where c.id = g.record_id)
            and not exists (select from tertulia.contact_record r where r.id = g.record_id));
    return null;
end $$;
-- +goose StatementEnd
create trigger forget_erased_authors after delete on contact referencing old table as was for each statement execute function forget_erased_authors();
create trigger forget_erased_authors after delete on contact_record referencing old table as was for each statement execute function forget_erased_authors();

-- +goose Down
-- Forward only.
