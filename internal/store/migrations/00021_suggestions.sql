-- +goose Up

-- Who may be one person, for people to decide. Contacts that are new or have changed are noted, and compared with those who share a key
-- with them: nobody is ever compared with everybody.

-- The likeness of texts. The extension is one of PostgreSQL's own and trusted: the database's owner may create it.
-- +goose StatementBegin
do $$
declare
    home text;
begin
    if not exists (select from pg_extension where extname = 'pg_trgm') then
        begin
            create extension pg_trgm with schema tertulia;
        exception
            when undefined_file or feature_not_supported then
                raise exception 'the server lacks the extension pg_trgm' using hint = 'install the package with PostgreSQL''s contrib modules on the server';
            when insufficient_privilege then
                raise exception 'the database''s owner may not create the extension pg_trgm'
                    using hint = 'run as an administrator in this database: create extension pg_trgm';
        end;
    end if;
    select n.nspname into home from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_trgm';
    execute format('create function tertulia.text_likeness(a text, b text) returns real
        language sql immutable parallel safe return %I.similarity(a, b)', home);
end $$;
-- +goose StatementEnd

-- What an attribute tells of a person: Name, Place, Birthday; empty for all else.
alter table attribute add column role text not null default '';

-- Contacts to be compared anew. Nothing is unique here, so that nobody who writes waits for anybody.
create table suggestion_due (
    id         bigint generated always as identity primary key,
    contact_id bigint not null
);

-- What contacts are compared by, as it was when they were last looked at.
create table suggestion_profile (
    contact_id bigint   primary key references contact on delete cascade,
    name       text[]   not null, -- words, each in its plain form, in order
    place      text[]   not null, -- by attribute
    birthday   date,
    language   text,
    locals     text[]   not null, -- of e-mail addresses
    handles    text[]   not null,
    sources    text[]   not null, -- types of other systems' ids
    keys       bigint[] not null  -- by which others are found
);

-- Who has a key. Hashes of what they stand for.
create table suggestion_key (
    key        bigint not null,
    contact_id bigint not null,
    primary key (key, contact_id)
);

-- Pairs that wait for a person's decision.
create table suggestion (
    a        bigint           not null references contact on delete cascade,
    b        bigint           not null references contact on delete cascade,
    id       bigint           generated always as identity unique,
    score    double precision not null,
    reasons  jsonb            not null, -- [{"signal", "level", "bits"}]: no value of anybody
    found_at timestamptz      not null default now(),
    primary key (a, b),
    check (a < b)
);
create index suggestion_b on suggestion (b);
create index suggestion_score on suggestion (score desc, id);

create table suggestion_state (
    singleton  boolean primary key default true check (singleton),
    columns    text[]  not null default '{}', -- of contacts, that have a role
    scan_after bigint                         -- contacts beyond this one are all compared anew; null when they were
);
insert into suggestion_state (scan_after) values (0);

---------------------------------------------------------------------------------------------------------------- words

-- A text in small letters without accents. Punctuation stays.
-- +goose StatementBegin
create function plain_text(t text) returns text language sql immutable parallel safe
    return case when octet_length(t) = length(t) then lower(t collate "C")
        else replace(replace(replace(translate(regexp_replace(normalize(tertulia.fold_case(t), NFD), '[\u0300-\u036F]', '', 'g'),
            'øłđðıħ', 'oldðih'), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe') end;
-- +goose StatementEnd

-- Short and familiar forms of given names, each with the name that it stands for here: whichever it is, both get the same.
create table nickname (
    form text primary key,
    name text not null
);
insert into nickname (form, name)
select unnest(string_to_array(l.forms, ' ')), l.name from (values
    ('alejandro', 'alex ale sandro alexander alexandre alessandro sasha'), ('alejandra', 'alexandra sandra alessandra alexa'),
    ('antonio', 'tono toni tony anthony antony anton antoine'), ('andres', 'andrew andy drew andreas andrea andre'),
    ('beatriz', 'bea beatrice beatrix'), ('benjamin', 'ben benny benji'), ('carlos', 'charles charlie chuck karl carl carlo'),
    ('carolina', 'caroline carol caro'), ('catalina', 'catherine katherine kathryn katharina caterina cathy kathy kate katie cata'),
    ('cristina', 'christina cris tina christine chris kristina kristin'), ('cristobal', 'christopher christoph kris topher'),
    ('daniel', 'dan danny dani'), ('david', 'dave davey'), ('dolores', 'lola lolita'), ('eduardo', 'edu eddie ed edward eduard ted teddy'),
    ('elena', 'helen helena helene nena'), ('enrique', 'quique kike henry heinrich enrico hank harry'),
    ('elisabeth', 'isabel isa isabella elizabeth liz lizzie beth betty eliza elisa elise lisa bella chabela'),
    ('federico', 'fede frederick fred freddy friedrich fritz'), ('fernando', 'fer nando ferdinand'),
    ('francisco', 'paco pancho curro fran francis frank franz francesco francois cisco kiko'), ('francisca', 'paca francesca frances'),
    ('gabriel', 'gabi gabe'), ('gregorio', 'greg gregory goyo gregor'), ('guillermo', 'memo guille william will bill billy willy wilhelm liam guillaume'),
    ('ignacio', 'nacho inaki'), ('jacobo', 'jacob jakob jake'), ('jaime', 'james jim jimmy jamie'), ('jeronimo', 'jerome jerry'),
    ('jesus', 'chuy suso chus'), ('joaquin', 'quino joachim chimo'), ('jorge', 'george georg giorgio coque jordi'),
    ('jose', 'pepe pepito joseph joe joey josef giuseppe chepe josep'), ('josefa', 'pepa josephine fina'),
    ('juan', 'john johnny jack juanito hans johann johannes giovanni jean jonny ivan jon'), ('juana', 'jane joan johanna giovanna jeanne'),
    ('julia', 'julie juli'), ('lorenzo', 'larry laurence lawrence lorenz'), ('leonardo', 'leo leonard'), ('luis', 'lou louis lewis ludwig luigi lucho'),
    ('luisa', 'louise louisa lulu'), ('manuel', 'manolo manu lolo emanuel emmanuel'), ('manuela', 'manoli emanuela'), ('marcos', 'mark marcus marc marco markus'),
    ('margarita', 'marga margaret maggie meg peggy margarete greta rita marguerite'), ('maria', 'mary marie mari mia molly'),
    ('mateo', 'matthew matt matty matthias matias mattia'), ('mercedes', 'merche'), ('miguel', 'mike michael mick mickey mikel michel michele'),
    ('monserrat', 'montse montserrat'), ('natalia', 'natalie nat tasha'), ('nicolas', 'nico nick nicholas nicky klaus niklas nikolaus'), ('pablo', 'paul paulo paolo pau'),
    ('patricia', 'patri pat patty tricia patrizia'), ('patricio', 'patrick paddy'), ('pedro', 'peter pete perico pierre pietro'),
    ('rafael', 'rafa raphael raffaele ralph'), ('ramon', 'moncho raymond ray raimund'), ('ricardo', 'ricky rick richard rich dick richi riccardo'),
    ('roberto', 'rob robert bob bobby robbie berto rupert'), ('rosario', 'charo'), ('samuel', 'sam sammy samu'), ('santiago', 'santi iago'), ('sebastian', 'seb basti sebas bastian'),
    ('sofia', 'sophie sophia sofie'), ('susana', 'susan sue susie suzanne susanne susi'), ('teresa', 'tere tess theresa therese maite'),
    ('tomas', 'thomas tom tommy tommaso'), ('vicente', 'vincent vince chente vincenzo'), ('victoria', 'vicky vicki vic tori')) l (name, forms);

-- The words of a name, each once, in order, with what familiar forms stand for; without titles and what stands between names.
-- +goose StatementBegin
create function name_words(t text) returns text[] language sql stable parallel safe as $$
    select coalesce(array_agg(distinct w.word collate "C" order by w.word collate "C"), '{}') from (
        select coalesce(n.name, p.word) word from (
            select left(s.part, 30) word from regexp_split_to_table(
                translate(tertulia.plain_text(left(t, 200)), '''’`´', ''), '[\s\[\]\\!-&(-/:-@^_{|}~«»“”„…–—·]+') s (part)
            where s.part <> '' and s.part <> all ('{de,del,la,las,los,da,do,dos,das,di,du,van,von,der,den,y,e,mr,mrs,ms,dr,dra,sr,sra,srta,don,herr,frau}')
            limit 6) p
        left join tertulia.nickname n on n.form = p.word) w
$$;
-- +goose StatementEnd

-- What an address or an account is called, wherever it is: the part of an e-mail address before the @, or the name on a network, without
-- what people put between its words. Null where it is short, or says what somebody does and not who they are.
-- +goose StatementBegin
create function account_name(type text, value text) returns text language sql immutable parallel safe as $$
    select n.name from (select left(translate(case
            when type = 'email' then split_part(split_part(tertulia.plain_text(value), '@', 1), '+', 1)
            when type = 'mastodon' then ltrim(regexp_replace(tertulia.plain_text(value), '^.*/', ''), '@')
            when type = 'handle' then regexp_replace(split_part(ltrim(tertulia.plain_text(value), '@'), '@', 1), '\.bsky\.social$', '')
        end, '._-', ''), 60) name) n
    where length(n.name) >= 4 and n.name <> all ('{info,admin,contact,contacto,hello,hola,mail,email,office,oficina,sales,ventas,shop,tienda,support,'
        'soporte,help,ayuda,team,equipo,service,servicio,kontakt,noreply,newsletter,marketing,billing,facturas,home,family,familia,user,usuario}')
$$;
-- +goose StatementEnd

-- The keys under which others are looked for who may be the same person: the whole name; each word of it with another's initial, so that the other
-- may be misspelt; both with the place, where they are common; a word with the birthday; and what addresses and accounts are called.
-- +goose StatementBegin
create function suggestion_keys(name text[], place text[], birthday date, called text[]) returns bigint[] language sql immutable parallel safe as $$
    select coalesce(array_agg(distinct hashtextextended(k.key, 0)), '{}') from (
        select 'name ' || array_to_string(name, ' ') key where cardinality(name) > 0
        union all
        (select 'word ' || x.word || ' ' || left(y.word, 1) from unnest(name) with ordinality x (word, n) join unnest(name) with ordinality y (word, n) on y.n <> x.n
            where length(x.word) > 2 order by x.n, y.n limit 12)
        union all
        select 'place ' || array_to_string(name, ' ') || '/' || array_to_string(place, '/') where cardinality(name) > 0 and array_to_string(place, '') <> ''
        union all
        (select 'nearby ' || x.word || ' ' || left(y.word, 1) || '/' || array_to_string(place, '/')
            from unnest(name) with ordinality x (word, n) join unnest(name) with ordinality y (word, n) on y.n <> x.n
            where length(x.word) > 2 and array_to_string(place, '') <> '' order by x.n, y.n limit 12)
        union all
        select 'born ' || (birthday - date '2000-01-01') || ' ' || x.word from unnest(name) x (word) where birthday is not null and isfinite(birthday)
        union all
        select 'called ' || x.name from unnest(called) x (name)) k
$$;
-- +goose StatementEnd

-- The keys that tell how common words are. Nobody is looked for by them.
-- +goose StatementBegin
create function word_keys(name text[]) returns bigint[] language sql immutable parallel safe as $$
    select coalesce(array_agg(hashtextextended('common ' || x.word, 0)), '{}') from unnest(name) x (word) where length(x.word) > 1
$$;
-- +goose StatementEnd

-- Who goes leaves nothing behind.
-- +goose StatementBegin
create function forget_keys() returns trigger language plpgsql as $$
begin
    delete from tertulia.suggestion_key k using (
        select w.contact_id, u.key from was w cross join lateral unnest(w.keys || tertulia.word_keys(w.name)) u (key)) g
    where k.key = g.key and k.contact_id = g.contact_id;
    return null;
end $$;
-- +goose StatementEnd
create trigger forget_keys after delete on suggestion_profile referencing old table as was for each statement execute function forget_keys();

---------------------------------------------------------------------------------------------------------------- noticing

-- suggestion_watch brings the trigger on contacts in line with the attributes that have a role, and has everybody compared anew when these are others.
-- +goose StatementBegin
create function suggestion_watch() returns void language plpgsql as $f$
declare
    watched text[];
    differs text := 'false';
begin
    select coalesce(array_agg(a.role || ' ' || a.column_name order by a.name), '{}') into watched from tertulia.attribute a
    where a.record_type = 'contact' and a.declared and a.role <> '' and exists (
        select from pg_attribute t where t.attrelid = 'tertulia.contact'::regclass and t.attname = a.column_name and not t.attisdropped);
    if cardinality(watched) > 0 then
        select format('(o.locale, %s) is distinct from (n.locale, %s)', string_agg(format('o.%I', split_part(w, ' ', 2)), ', '),
            string_agg(format('n.%I', split_part(w, ' ', 2)), ', ')) into differs from unnest(watched) w;
    end if;
    -- Links of those who were noted in the same transaction, because they are new, need no note of their own.
    perform tertulia.segment_write_function('note_suggestion', 'set jit = off set enable_nestloop = off', format($b$
begin
    if tg_op = 'INSERT' then
        insert into tertulia.suggestion_due (contact_id) select id from became;
        perform set_config('tertulia.noted', coalesce((select min(id) || ',' || max(id) from became having count(*) = max(id) - min(id) + 1), ''), true);
    else
        insert into tertulia.suggestion_due (contact_id) select n.id from was o join became n on n.id = o.id where %s;
    end if;
    return null;
end $b$, differs));
    update tertulia.suggestion_state set columns = watched, scan_after = 0 where columns <> watched;
end $f$;
-- +goose StatementEnd
select suggestion_watch();
create trigger suggestion_added after insert on contact referencing new table as became for each statement execute function note_suggestion();
create trigger suggestion_changed after update on contact referencing old table as was new table as became for each statement execute function note_suggestion();

-- +goose StatementBegin
create function note_suggestion_link() returns trigger language plpgsql as $$
declare
    noted text := coalesce(nullif(current_setting('tertulia.noted', true), ''), '0,0');
    low bigint := split_part(noted, ',', 1);
    high bigint := split_part(noted, ',', 2);
begin
    insert into tertulia.suggestion_due (contact_id) select distinct contact_id from changed where contact_id not between low and high;
    return null;
end $$;
-- +goose StatementEnd
create trigger suggestion_linked after insert on identifier_link referencing new table as changed for each statement execute function note_suggestion_link();
create trigger suggestion_unlinked after delete on identifier_link referencing old table as changed for each statement execute function note_suggestion_link();

-- +goose StatementBegin
create function follow_roles() returns trigger language plpgsql as $$
begin
    perform tertulia.suggestion_watch();
    return null;
end $$;
-- +goose StatementEnd
create trigger follow_roles after insert or update or delete on attribute for each statement execute function follow_roles();

-- +goose Down
-- Forward only.
