-- +goose Up

-- Who moves the talk about a topic of role Brand or Product. Ids of authors say nothing by themselves: who is forgotten has no profile.

-- Mentions up to this id are in the edges.
create table influence_cursor (
    singleton boolean primary key default true check (singleton),
    added_to  bigint  not null default 0
);
insert into influence_cursor default values;

-- How far each topic is.
create table influence_topic (
    topic_id  bigint      primary key references topic on delete cascade,
    built_at  timestamptz, -- when the edges were last made of all that is stored
    ranked_at timestamptz, -- of when the scores are
    unranked  boolean     not null default true, -- edges are newer than the scores
    tried_at  timestamptz not null default now(), -- when it was last begun to do either
    authors   int         not null default 0, -- that were compared
    edges     int         not null default 0
) with (fillfactor = 50);

-- How much an author took up another: the sum of what each time weighs, of kind and time. Weights are those at a fixed moment: growing old
-- changes all of them alike, and none needs to be written anew. No foreign keys: a topic has a million.
create table influence_edge (
    topic_id    bigint not null,
    from_author bigint not null,
    to_author   bigint not null,
    weight      float8 not null,
    primary key (topic_id, from_author, to_author)
);

-- The most influential, with what their scores are made of.
create table influence_score (
    topic_id  bigint not null,
    author_id bigint not null,
    place     int    not null, -- 1 is the most influential
    score     jsonb  not null,
    roles     text[] not null,
    staff     boolean not null,
    primary key (topic_id, place)
);

-- +goose Down
-- Forward only.
