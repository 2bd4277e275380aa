package main

// detractors and askers are the segments by which the load measures how long a change takes to be seen: each of the changes that it
// times moves one contact into one of them or out of it.
const (
	detractors = "detractors"
	askers     = "askers"
)

var eventCases = []segmentCase{
	{
		ofEvents, "buyers", `events("purchase")`,
		`select distinct contact_id from event where name = 'purchase' and occurred_at <= now() and contact_id is not null`,
	},
	{
		ofEvents, "buyers-14d", `events("purchase").within("14d")`,
		`select distinct contact_id from event
where name = 'purchase' and occurred_at > now() - interval '336 hours' and occurred_at <= now() and contact_id is not null`,
	},
	{
		ofEvents, "never-bought", `events("purchase").count() == 0`,
		`select id from contact c where not exists (select from event e where e.contact_id = c.id and e.name = 'purchase' and e.occurred_at <= now())`,
	},
	{
		ofEvents, "lapsed", `events("purchase").count() > 0 && events("purchase").within("90d").count() == 0`,
		`select contact_id from event where name = 'purchase' and occurred_at <= now() and contact_id is not null
group by 1 having max(occurred_at) <= now() - interval '2160 hours'`,
	},
	{
		ofEvents, "win-back", `events("purchase").within("300d").before("90d") && !events("purchase").within("90d")`,
		`select contact_id from event
where name = 'purchase' and occurred_at > now() - interval '7200 hours' and occurred_at <= now() and contact_id is not null
group by 1 having max(occurred_at) <= now() - interval '2160 hours'`,
	},
	{
		ofEvents, "large-order", `events("purchase").where(e, e.amount >= 250.0 && !e.gift)`,
		`select distinct contact_id from event
where name = 'purchase' and occurred_at <= now() and (properties ->> 'amount')::numeric >= 250 and properties ->> 'gift' = 'false'
    and contact_id is not null`,
	},
	{
		ofEvents, "delivered-then", `events("purchase").where(p, p.delivery >= date("{begin}") && p.delivery <= date("{end}"))`,
		`select distinct contact_id from event
where name = 'purchase' and occurred_at <= now() and (properties ->> 'delivery')::date between '{begin}' and '{end}' and contact_id is not null`,
	},
	{
		ofEvents, "bought-helmet", `events("purchase").where(e, e.sku.startsWith("helmet-"))`,
		`select distinct contact_id from event
where name = 'purchase' and occurred_at <= now() and properties ->> 'sku' like 'helmet-%' and contact_id is not null`,
	},
	{
		ofEvents, "dear-or-many", `events("purchase").within("60d").where(e, e.amount > 400.0 || e.items >= 5)`,
		`select distinct contact_id from event
where name = 'purchase' and occurred_at > now() - interval '1440 hours' and occurred_at <= now()
    and ((properties ->> 'amount')::numeric > 400 or (properties ->> 'items')::int >= 5) and contact_id is not null`,
	},
	{
		ofEvents, askers, `events("ticket").count() >= 1`,
		`select distinct contact_id from event where name = 'ticket' and occurred_at <= now() and contact_id is not null`,
	},
	{
		ofEvents, "severe-tickets", `events("ticket").where(t, t.severity >= 4).within("30d")`,
		`select distinct contact_id from event
where name = 'ticket' and occurred_at > now() - interval '720 hours' and occurred_at <= now() and (properties ->> 'severity')::int >= 4
    and contact_id is not null`,
	},
	{
		ofEvents, "looked-not-bought", `events("site-visit").within("7d").where(v, v.page == "jerseys")
&& !events("purchase").within("7d").where(p, p.sku.startsWith("jersey-"))`,
		`select distinct contact_id from event v
where name = 'site-visit' and occurred_at > now() - interval '168 hours' and occurred_at <= now() and properties ->> 'page' = 'jerseys'
    and contact_id is not null
    and not exists (select from event p where p.contact_id = v.contact_id and p.name = 'purchase'
        and p.occurred_at > now() - interval '168 hours' and p.occurred_at <= now() and p.properties ->> 'sku' like 'jersey-%')`,
	},
	{
		ofEvents, "left-cart", `events("cart").within("3d") && !events("purchase").within("3d")`,
		`select contact_id from event
where name in ('cart', 'purchase') and occurred_at > now() - interval '72 hours' and occurred_at <= now() and contact_id is not null
group by 1 having not bool_or(name = 'purchase')`,
	},
	{
		ofEvents, "unheard-of", `contact.created_at < ago("365d") && !events("purchase").within("120d") && !events("site-visit").within("120d")
&& !("keep" in contact.tags)`,
		`select id from contact c where created_at < now() - interval '8760 hours' and not 'keep' = any (tags)
    and not exists (select from event e where e.contact_id = c.id and e.name in ('purchase', 'site-visit')
        and e.occurred_at > now() - interval '2880 hours' and e.occurred_at <= now())`,
	},
	{
		ofEvents, "stopped-riding", `events("ride").before("90d").count() >= 2 && !events("ride").within("90d")`,
		`select contact_id from event where name = 'ride' and occurred_at <= now() and contact_id is not null
group by 1 having count(*) >= 2 and max(occurred_at) <= now() - interval '2160 hours'`,
	},
	{
		ofEvents, "visit-or-ride", `events("site-visit").within("2d") || events("ride").within("14d")`,
		`select contact_id from event where name = 'site-visit' and occurred_at > now() - interval '48 hours' and occurred_at <= now()
    and contact_id is not null
union select contact_id from event where name = 'ride' and occurred_at > now() - interval '336 hours' and occurred_at <= now() and contact_id is not null`,
	},
	{
		ofEvents, "pro-without-ride", `contact.plan == "pro" && !events("ride").within("30d")`,
		`select id from contact c where attr_plan = 'pro' and not exists (
    select from event e where e.contact_id = c.id and e.name = 'ride' and e.occurred_at > now() - interval '720 hours' and e.occurred_at <= now())`,
	},
	{
		ofEvents, "dear-for-them", `events("purchase").where(e, e.amount > contact.lifetime_value)`,
		`select distinct c.id from contact c join event e on e.contact_id = c.id and e.name = 'purchase' and e.occurred_at <= now()
where (e.properties ->> 'amount')::numeric > c.attr_lifetime_value`,
	},
}

var valueCases = []segmentCase{
	{
		ofValues, "once-long-ago", `events("purchase").count() == 1 && events("purchase").last() < ago("60d")`,
		`select contact_id from event where name = 'purchase' and occurred_at <= now() and contact_id is not null
group by 1 having count(*) = 1 and max(occurred_at) < now() - interval '1440 hours'`,
	},
	{
		ofValues, "two-or-three", `events("purchase").count() in [2, 3]`,
		`select contact_id from event where name = 'purchase' and occurred_at <= now() and contact_id is not null group by 1 having count(*) in (2, 3)`,
	},
	{
		ofValues, "big-spenders", `events("purchase").within("300d").sum("amount") >= 400.0 && events("purchase").within("300d").count() >= 2`,
		`select contact_id from event
where name = 'purchase' and occurred_at > now() - interval '7200 hours' and occurred_at <= now() and contact_id is not null
group by 1 having sum((properties ->> 'amount')::numeric) >= 400 and count(*) >= 2`,
	},
	{
		ofValues, "generous", `events("purchase").avg("amount") > 80.0 && events("purchase").count() >= 3`,
		`select contact_id from event where name = 'purchase' and occurred_at <= now() and contact_id is not null
group by 1 having avg((properties ->> 'amount')::numeric) > 80 and count(*) >= 3`,
	},
	{
		ofValues, "tries-everything", `events("purchase").distinct("sku") >= 5 && events("purchase").max("items") <= 5`,
		`select contact_id from event where name = 'purchase' and occurred_at <= now() and contact_id is not null
group by 1 having count(distinct properties ->> 'sku') >= 5 and max((properties ->> 'items')::int) <= 5`,
	},
	{
		ofValues, "began-with-bike", `events("purchase").first("sku").startsWith("bike-")`,
		`select contact_id from (
    select distinct on (contact_id) contact_id, properties ->> 'sku' sku from event
    where name = 'purchase' and occurred_at <= now() and contact_id is not null order by contact_id, occurred_at, id) f
where sku like 'bike-%'`,
	},
	{
		ofValues, "helmet-long-ago", `events("purchase").where(e, e.sku.startsWith("helmet-")).last() < ago("200d")`,
		`select contact_id from event
where name = 'purchase' and occurred_at <= now() and properties ->> 'sku' like 'helmet-%' and contact_id is not null
group by 1 having max(occurred_at) < now() - interval '4800 hours'`,
	},
	{
		ofValues, "spend-more", `events("purchase").within("90d").sum("amount") > events("purchase").within("180d").before("90d").sum("amount")`,
		`select contact_id from (
    select contact_id, (properties ->> 'amount')::numeric amount, occurred_at > now() - interval '2160 hours' lately from event
    where name = 'purchase' and occurred_at > now() - interval '4320 hours' and occurred_at <= now() and contact_id is not null) e
group by 1 having coalesce(sum(amount) filter (where lately), 0) > coalesce(sum(amount) filter (where not lately), 0)`,
	},
	{
		ofValues, "once-dear", `events("purchase").max("amount") >= 500.0`,
		`select contact_id from event where name = 'purchase' and occurred_at <= now() and contact_id is not null
group by 1 having max((properties ->> 'amount')::numeric) >= 500`,
	},
	{
		ofValues, "gift-givers", `events("purchase").where(e, e.gift).count() >= 2`,
		`select contact_id from event where name = 'purchase' and occurred_at <= now() and properties ->> 'gift' = 'true' and contact_id is not null
group by 1 having count(*) >= 2`,
	},
	{
		ofValues, "fillers", `events("purchase").sum("items") >= 20 && events("purchase").sum("items") <= 40`,
		`select contact_id from event where name = 'purchase' and occurred_at <= now() and contact_id is not null
group by 1 having sum((properties ->> 'items')::int) between 20 and 40`,
	},
	{
		ofValues, "bought-for-more", `events("purchase").sum("amount") > contact.lifetime_value`,
		`select c.id from contact c
    left join (select contact_id, sum((properties ->> 'amount')::numeric) amount from event where name = 'purchase' and occurred_at <= now() group by 1) e
    on e.contact_id = c.id
where coalesce(e.amount, 0) > c.attr_lifetime_value`,
	},
	{
		ofValues, "asked-for-refund", `events("ticket").last("topic") == "refund"`,
		`select contact_id from (
    select distinct on (contact_id) contact_id, properties ->> 'topic' topic from event
    where name = 'ticket' and occurred_at <= now() and contact_id is not null order by contact_id, occurred_at desc, id desc) l
where topic = 'refund'`,
	},
	{
		ofValues, "busy-visitors", `events("site-visit").within("7d").count() >= 3`,
		`select contact_id from event
where name = 'site-visit' and occurred_at > now() - interval '168 hours' and occurred_at <= now() and contact_id is not null
group by 1 having count(*) >= 3`,
	},
	{
		ofValues, "lingering", `events("site-visit").within("90d").avg("seconds") >= 160.0`,
		`select contact_id from event
where name = 'site-visit' and occurred_at > now() - interval '2160 hours' and occurred_at <= now() and contact_id is not null
group by 1 having avg((properties ->> 'seconds')::numeric) >= 160`,
	},
	{
		ofValues, "wandering", `events("site-visit").within("90d").distinct("page") >= 6`,
		`select contact_id from event
where name = 'site-visit' and occurred_at > now() - interval '2160 hours' and occurred_at <= now() and contact_id is not null
group by 1 having count(distinct properties ->> 'page') >= 6`,
	},
	{
		ofValues, "full-carts", `events("cart").within("30d").sum("amount") > 300.0`,
		`select contact_id from event
where name = 'cart' and occurred_at > now() - interval '720 hours' and occurred_at <= now() and contact_id is not null
group by 1 having sum((properties ->> 'amount')::numeric) > 300`,
	},
	{
		ofValues, "few-visits", `events("site-visit").within("30d").count() < 2`,
		`select id from contact c where id not in (
    select contact_id from event
    where name = 'site-visit' and occurred_at > now() - interval '720 hours' and occurred_at <= now() and contact_id is not null
    group by 1 having count(*) >= 2)`,
	},
	{
		ofValues, "more-carts-than-orders", `events("cart").count() > events("purchase").count()`,
		`select contact_id from event where name in ('cart', 'purchase') and occurred_at <= now() and contact_id is not null
group by 1 having count(*) filter (where name = 'cart') > count(*) filter (where name = 'purchase')`,
	},
	{
		ofValues, "long-rides", `events("ride").within("60d").sum("kilometres") >= 100.0`,
		`select contact_id from event
where name = 'ride' and occurred_at > now() - interval '1440 hours' and occurred_at <= now() and contact_id is not null
group by 1 having sum((properties ->> 'kilometres')::numeric) >= 100`,
	},
	{
		ofValues, "new-riders", `events("ride").first() > ago("60d")`,
		`select contact_id from event where name = 'ride' and occurred_at <= now() and contact_id is not null
group by 1 having min(occurred_at) > now() - interval '1440 hours'`,
	},
	{
		ofValues, "camino", `events("ride").last("route") == "Camino"`,
		`select contact_id from (
    select distinct on (contact_id) contact_id, properties ->> 'route' route from event
    where name = 'ride' and occurred_at <= now() and contact_id is not null order by contact_id, occurred_at desc, id desc) l
where route = 'Camino'`,
	},
	{
		ofValues, "longest-ride", `events("ride").max("kilometres") > 140.0 || events("ride").count() > 10`,
		`select contact_id from event where name = 'ride' and occurred_at <= now() and contact_id is not null
group by 1 having max((properties ->> 'kilometres')::numeric) > 140 or count(*) > 10`,
	},
}
