package main

// The people of the benchmark of segments. Nobody does anything in the four hours before the time of the day at which the run
// began, so that nobody crosses a window of whole days while it lasts: what one statement finds the next one finds too. Nobody is
// born or becomes known around a 29th of February, on which SQL's own arithmetic of years differs.

// inventContacts makes contacts and what belongs to them; a contact's number says what sort of a customer they are. Identifiers have four
// times the number, and the next ones.
var inventContacts = []string{
	`insert into contact (id, locale, time_zone, tags, created_at, attr_plan, attr_country, attr_city, attr_company, attr_job_title,
		attr_first_name, attr_birthday, attr_lifetime_value, attr_points, attr_nps, attr_ambassador, attr_renews_at)
	overriding system value
	select id,
		(array['es', 'en', 'es-MX', 'en-GB', 'de', 'fr', 'pt', null])[1 + floor(8 * r1 * r1)],
		(array['Europe/Madrid', 'Europe/London', 'America/New_York', 'America/Mexico_City', 'Asia/Tokyo', null])[1 + floor(6 * r2 * r2)],
		array_remove(array[
			case when random() < 0.02 then 'vip' end, case when random() < 0.01 then 'press' end, case when random() < 0.03 then 'partner' end,
			case when random() < 0.04 then 'quiet' end, case when random() < 0.05 then 'keep' end, case when random() < 0.4 then 'road' end,
			case when random() < 0.25 then 'gravel' end, case when random() < 0.6 then 'greeted' end, case when random() < 0.05 then 'pro' end,
			case when random() < 0.1 then 'club' end], null),
		known - case when to_char(known, 'MMDD') in ('0228', '0229', '0301') then interval '7 days' else '0' end,
		case when r3 < 0.7 then 'free' when r3 < 0.9 then 'club' when r3 < 0.98 then 'pro' end,
		(array['ES', 'MX', 'DE', 'GB', 'US', 'PT', 'FR', 'CH', 'JP', null])[1 + floor(10 * r4 * r4)],
		(array['Madrid', 'MADRID', 'Málaga', 'MÁLAGA', 'málaga capital', 'Barcelona', 'Berlin', 'Zürich', 'ZÜRICH', 'San Sebastián', 'London',
			'Ciudad de México', 'Porto', 'Lyon', '東京', 'Boston', null])[1 + floor(17 * r5)],
		case when r6 < 0.4 then (array['Velo', 'Rad', 'Cicli', 'Norte', 'Sierra'])[1 + floor(12.5 * r6)] || ' ' || floor(r7 * 5000)::int
			|| (array[' GmbH', ' SL', ' Ltd', ''])[1 + floor(4 * r7)] end,
		(array['Engineer', 'Software engineer', 'Teacher', 'Doctor', 'Head of Engineering', 'Nurse', 'Baker', 'Designer', null])[1 + floor(9 * r8)],
		'Name' || floor(r9 * 5000)::int,
		case when born_known < 0.85 then born - case when to_char(born, 'MMDD') in ('0228', '0229', '0301') then 7 else 0 end end,
		case when r10 < 0.9 then round((2500 * r10 * r10 * r10)::numeric, 2) end,
		floor(1000 * r11)::int,
		case when r12 < 0.6 then floor(r12 / 0.6 * 11)::int end,
		case when r13 < 0.1 then true when r13 < 0.9 then false end,
		case when r14 < 0.3 then {now} + (floor(730 * r14 / 0.3) - 365) * interval '24 hours' - r15 * interval '20 hours' end
	from (
		select id, random() r1, random() r2, random() r3, random() r4, random() r5, random() r6, random() r7, random() r8, random() r9, random() r10,
			random() r11, random() r12, random() r13, random() r14, random() r15, random() born_known,
			{now} - floor(1460 * random()) * interval '24 hours' - random() * interval '20 hours' known,
			date '1940-01-01' + floor(27000 * random())::int born
		from generate_series({after} + 1, {upTo}) id) c`,
	`insert into identifier (id, type, value) overriding system value
	select 4 * id + k, t.type, case t.type when 'email' then 'c' || id || '@people.example' when 'phone' then '+34' || 600000000 + id
		when 'mastodon' then 'https://social.example/users/c' || id else id::text end
	from generate_series({after} + 1, {upTo}) id,
		unnest(array['external:shop', 'email', 'phone', 'mastodon'], array[1, 0.92, 0.45, 0.03]) with ordinality t (type, share, k)
	where k = 1 or random() < share + 0 * id`,
	`insert into identifier_link (identifier_id, contact_id, verified, source)
	select id, (id - 1) / 4, true, 'shop' from identifier where id > 4 * ({after} + 1) and id <= 4 * {upTo} + 4`,
	`insert into consent (contact_id, purpose, granted, source)
	select id, p.purpose, random() < p.share, 'form'
	from generate_series({after} + 1, {upTo}) id, unnest(array['newsletter', 'offers'], array[0.9, 0.6]) p (purpose, share)
	where random() < 0.75 + 0 * id`,
	`insert into ledger (send_id, seq, contact_id, address_hash, state, intent_at, settled_at)
	select s.id, c.id, c.id, sha256(int8send(c.id)), case when random() < 0.02 then 'failed' else 'sent' end,
		s.frozen_at, s.frozen_at + random() * interval '1 hour'
	from send s, generate_series({after} + 1, {upTo}) c (id) where random() < 0.15 + 0 * c.id`,
	`insert into engaged (contact_id, send_id, what, at)
	select contact_id, send_id, what, settled_at + random() * interval '2 days'
	from ledger, unnest(array['opened', 'clicked'], array[0.35, 0.1]) w (what, share)
	where state = 'sent' and contact_id > {after} and contact_id <= {upTo} and random() < share + 0 * contact_id`,
}

// inventEvents makes {count} events over a year. Of ten contacts one is the source of half of them, four of 40 %, three of 5 % and two of
// nothing; a shop or a club with hundreds of events is behind one of a thousand.
const inventEvents = `
	insert into event (name, occurred_at, identifier_id, contact_id, properties, source)
	select name, {now} - floor(365 * r4) * interval '24 hours' - r5 * interval '20 hours', 4 * contact + 1, contact,
		case name
			when 'site-visit' then jsonb_build_object('page', (array['home', 'jerseys', 'bikes', 'helmets', 'tyres', 'sale', 'club', 'routes', 'blog', 'help'])
				[1 + floor(10 * r6 * r6)], 'seconds', floor(300 * r7 * r7)::int)
			when 'purchase' then jsonb_build_object('amount', round((5 + 600 * r6 * r6 * r6 * r6)::numeric, 2),
				'sku', (array['tyre-', 'bottle-', 'light-', 'jersey-', 'helmet-', 'bike-'])[1 + floor(6 * r7)] || floor(r8 * 20)::int,
				'items', 1 + floor(6 * r8 * r8)::int,
				'gift', r7 < 0.15, 'delivery', (({now} at time zone 'UTC')::date - floor(365 * r4)::int + 1 + floor(5 * r6)::int)::text)
			when 'cart' then jsonb_build_object('amount', round((5 + 300 * r6 * r6)::numeric, 2),
				'sku', (array['tyre-', 'bottle-', 'light-', 'jersey-', 'helmet-', 'bike-'])[1 + floor(6 * r7)] || floor(r8 * 20)::int)
			when 'ride' then jsonb_build_object('kilometres', round((5 + 150 * r6 * r6)::numeric, 1),
				'route', (array['Camino', 'Vía Verde', 'Costa', 'Sierra', 'Río', 'Puerto'])[1 + floor(6 * r7)])
			else jsonb_build_object('topic', (array['delivery', 'refund', 'fitting', 'club'])[1 + floor(4 * r6)], 'severity', 1 + floor(5 * r7)::int)
		end, 'shop'
	from (
		select case when r2 < 0.6 then 'site-visit' when r2 < 0.82 then 'purchase' when r2 < 0.92 then 'cart' when r2 < 0.98 then 'ride'
				else 'ticket' end "name",
			{after} + case
				when r1 < 0.05 then 1000 * floor(r3 * {n} / 1000) + 1
				when r1 < 0.55 then 10 * floor(r3 * {n} / 10) + 1
				when r1 < 0.95 then 10 * floor(r3 * {n} / 10) + 2 + floor(10 * (r1 - 0.55))
				else 10 * floor(r3 * {n} / 10) + 6 + floor(60 * (r1 - 0.95))
			end::bigint contact,
			r4, r5, r6, r7, r8
		from (
			select random() r1, random() r2, random() r3, random() r4, random() r5, random() r6, random() r7, random() r8
			from generate_series(1, {count})) r) e`
