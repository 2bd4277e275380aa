package main

import (
	"slices"
	"strings"
	"time"
)

// segmentCase is a segment of the benchmark: its expression, and the same question as somebody who knows the tables would ask it in
// SQL. That returns each contact's id once.
type segmentCase struct {
	kind, name, match string
	byHand            string
}

// The kinds of segments.
const (
	ofAttributes = "attributes"
	ofPeople     = "people" // tags, locale, consent, identifiers
	ofStrings    = "strings"
	ofDays       = "days"
	ofEvents     = "events"
	ofValues     = "values" // what is made of events: numbers, sums, first and last
	ofMessages   = "messages"
	ofSegments   = "segments"
)

// segmentKinds in the order in which their segments are built: those that ask for others come last.
var segmentKinds = []string{ofAttributes, ofPeople, ofStrings, ofDays, ofEvents, ofValues, ofMessages, ofSegments}

// segmentCases are all segments. Fixed days in them lie around a moment.
func segmentCases(now time.Time) []segmentCase {
	day := func(days int) string { return now.UTC().AddDate(0, 0, days).Format(time.DateOnly) }
	fixed := strings.NewReplacer("{begin}", day(-40), "{end}", day(-10))
	all := slices.Concat(attributeCases, peopleCases, stringCases, dayCases, eventCases, valueCases, messageCases, nestedCases)
	for i := range all {
		all[i].match, all[i].byHand = fixed.Replace(all[i].match), fixed.Replace(all[i].byHand)
	}
	return all
}

var attributeCases = []segmentCase{
	{ofAttributes, "paying", `contact.plan in ["club", "pro"]`, `select id from contact where attr_plan in ('club', 'pro')`},
	{ofAttributes, "pro", `contact.plan == "pro"`, `select id from contact where attr_plan = 'pro'`},
	{ofAttributes, "iberia", `contact.country in ["ES", "PT"]`, `select id from contact where attr_country in ('ES', 'PT')`},
	{ofAttributes, "not-spain", `contact.country != "ES"`, `select id from contact where attr_country is distinct from 'ES'`},
	{ofAttributes, "no-company", `!has(contact.company)`, `select id from contact where attr_company is null`},
	{
		ofAttributes, "company-paying", `has(contact.company) && contact.plan != "free"`,
		`select id from contact where attr_company is not null and attr_plan is distinct from 'free'`,
	},
	{ofAttributes, "many-points", `contact.points >= 900`, `select id from contact where attr_points >= 900`},
	{
		ofAttributes, "some-points", `contact.points >= 200 && contact.points < 400`,
		`select id from contact where attr_points >= 200 and attr_points < 400`,
	},
	{ofAttributes, detractors, `contact.nps <= 6`, `select id from contact where attr_nps <= 6`},
	{ofAttributes, "promoters", `contact.nps >= 9 && contact.ambassador`, `select id from contact where attr_nps >= 9 and attr_ambassador`},
	{ofAttributes, "no-ambassadors", `!contact.ambassador`, `select id from contact where attr_ambassador is not true`},
	{ofAttributes, "valuable", `contact.lifetime_value > 500.0`, `select id from contact where attr_lifetime_value > 500.0`},
	{
		ofAttributes, "fifty", `contact.lifetime_value >= 49.99 && contact.lifetime_value <= 51.01`,
		`select id from contact where attr_lifetime_value between 49.99 and 51.01`,
	},
	{
		ofAttributes, "more-value-than-points", `contact.lifetime_value > contact.points`,
		`select id from contact where attr_lifetime_value > attr_points`,
	},
	{
		ofAttributes, "incomplete", `contact.ambassador && (contact.city == null || !has(contact.job_title))`,
		`select id from contact where attr_ambassador and (attr_city is null or attr_job_title is null)`,
	},
	{
		ofAttributes, "spanish-club-or-valuable", `(contact.country == "ES" && contact.plan == "club") || contact.lifetime_value > 1500.0`,
		`select id from contact where attr_country = 'ES' and attr_plan = 'club' or attr_lifetime_value > 1500`,
	},
	{
		ofAttributes, "neither-free-nor-unhappy", `!(contact.plan == "free" || contact.nps < 7)`,
		`select id from contact where attr_plan is distinct from 'free' and (attr_nps >= 7 or attr_nps is null)`,
	},
}

var peopleCases = []segmentCase{
	{ofPeople, "vip", `"vip" in contact.tags`, `select id from contact where 'vip' = any (tags)`},
	{
		ofPeople, "press-not-quiet", `contact.tags.hasAny(["press", "partner"]) && !("quiet" in contact.tags)`,
		`select id from contact where tags && array['press', 'partner'] and not 'quiet' = any (tags)`,
	},
	{ofPeople, "road-and-gravel", `contact.tags.hasAll(["road", "gravel"])`, `select id from contact where tags @> array['road', 'gravel']`},
	{ofPeople, "untagged", `!has(contact.tags)`, `select id from contact where tags = '{}'`},
	{ofPeople, "ungreeted", `!("greeted" in contact.tags)`, `select id from contact where not 'greeted' = any (tags)`},
	{ofPeople, "tagged-as-plan", `contact.plan in contact.tags`, `select id from contact where attr_plan = any (tags)`},
	{ofPeople, "spanish", `contact.locale == "es" || contact.locale.startsWith("es-")`, `select id from contact where locale = 'es' or locale like 'es-%'`},
	{ofPeople, "locale-unknown", `contact.locale == null`, `select id from contact where locale is null`},
	{ofPeople, "not-english", `!contact.locale.startsWith("en")`, `select id from contact where locale not like 'en%' or locale is null`},
	{ofPeople, "newsletter", `consented("newsletter")`, `select contact_id from consent where purpose = 'newsletter' and granted`},
	{
		ofPeople, "offers-only", `consented("offers") && !consented("newsletter")`,
		`select contact_id from consent o where purpose = 'offers' and granted
    and not exists (select from consent n where n.contact_id = o.contact_id and n.purpose = 'newsletter' and n.granted)`,
	},
	{
		ofPeople, "never-agreed", `!consented("newsletter") && !consented("offers")`,
		`select id from contact c where not exists (select from consent k where k.contact_id = c.id and k.purpose in ('newsletter', 'offers') and k.granted)`,
	},
	{
		ofPeople, "newsletter-club", `consented("newsletter") && contact.plan == "club"`,
		`select id from contact join consent k on k.contact_id = id and k.purpose = 'newsletter' and k.granted where attr_plan = 'club'`,
	},
	{
		ofPeople, "phone-no-mail", `has_identifier("phone") && !has_identifier("email")`,
		`select l.contact_id from identifier_link l join identifier i on i.id = l.identifier_id group by 1
    having bool_or(i.type = 'phone') and not bool_or(i.type = 'email')`,
	},
	{
		ofPeople, "reachable", `has_identifier("email") || has_identifier("phone")`,
		`select distinct l.contact_id from identifier_link l join identifier i on i.id = l.identifier_id where i.type in ('email', 'phone')`,
	},
	{
		ofPeople, "mastodon", `has_identifier("mastodon")`,
		`select distinct l.contact_id from identifier_link l join identifier i on i.id = l.identifier_id where i.type = 'mastodon'`,
	},
	{
		ofPeople, "phone-here", `has_identifier("phone") && contact.country in ["ES", "MX"]`,
		`select id from contact c where attr_country in ('ES', 'MX')
    and exists (select from identifier_link l join identifier i on i.id = l.identifier_id where l.contact_id = c.id and i.type = 'phone')`,
	},
}

var stringCases = []segmentCase{
	{ofStrings, "malaga", `contact.city.startsWithIgnoreCase("málaga")`, `select id from contact where lower(attr_city) like 'málaga%'`},
	{ofStrings, "engineers", `contact.job_title.containsIgnoreCase("engineer")`, `select id from contact where attr_job_title ilike '%engineer%'`},
	{ofStrings, "gmbh", `contact.company.endsWith("GmbH")`, `select id from contact where attr_company like '%GmbH'`},
	{ofStrings, "madrid", `contact.city.lowerAscii() == "madrid"`, `select id from contact where lower(attr_city) = 'madrid'`},
	{ofStrings, "zurich", `contact.city.equalsIgnoreCase("ZÜRICH")`, `select id from contact where lower(attr_city) = 'zürich'`},
	{
		ofStrings, "cities-with-b", `contact.city >= "B" && contact.city < "C"`,
		`select id from contact where attr_city collate "C" >= 'B' and attr_city collate "C" < 'C'`,
	},
}

// today is the day that it is where a contact c lives. The tenant's own zone is UTC.
const today = `(now() at time zone coalesce(c.time_zone, 'UTC'))::date`

var dayCases = []segmentCase{
	{ofDays, "adults", `age("birthday") >= 18`, `select id from contact c where attr_birthday <= ` + today + ` - interval '18 years'`},
	{
		ofDays, "thirties", `age("birthday") >= 30 && age("birthday") < 40`,
		`select id from contact c where attr_birthday <= ` + today + ` - interval '30 years' and attr_birthday > ` + today + ` - interval '40 years'`,
	},
	{
		ofDays, "birthday", `anniversary("birthday") == 0`,
		`select id from contact c where to_char(attr_birthday, 'MM-DD') = to_char(` + today + `, 'MM-DD')`,
	},
	{
		ofDays, "birthday-soon", `anniversary("birthday") in [1, 2, 3, 4, 5, 6, 7] && contact.plan in ["club", "pro"]`,
		`with soon as materialized (
    select zone, to_char((now() at time zone zone)::date + d, 'MM-DD') "day"
    from (select distinct coalesce(time_zone, 'UTC') zone from contact) z, generate_series(1, 7) d)
select id from contact c join soon on zone = coalesce(c.time_zone, 'UTC') and "day" = to_char(attr_birthday, 'MM-DD') where attr_plan in ('club', 'pro')`,
	},
	{
		ofDays, "renewing", `contact.renews_at > now && contact.renews_at <= ahead("30d")`,
		`select id from contact where attr_renews_at > now() and attr_renews_at <= now() + interval '720 hours'`,
	},
	{ofDays, "expired", `contact.renews_at < now`, `select id from contact where attr_renews_at < now()`},
	{ofDays, "long-expired", `contact.renews_at < ago("180d")`, `select id from contact where attr_renews_at < now() - interval '4320 hours'`},
	{
		ofDays, "newcomers", `contact.created_at > ago("7d") && !("greeted" in contact.tags)`,
		`select id from contact where created_at > now() - interval '168 hours' and not 'greeted' = any (tags)`,
	},
	{
		ofDays, "veterans", `age("created_at") >= 2`,
		`select id from contact c where (created_at at time zone coalesce(c.time_zone, 'UTC'))::date <= ` + today + ` - interval '2 years'`,
	},
	{
		ofDays, "jubilee", `anniversary("created_at") == 0 && age("created_at") in [1, 2, 3]`,
		`with days as materialized (
    select zone, ((now() at time zone zone)::date - make_interval(years => y))::date "day"
    from (select distinct coalesce(time_zone, 'UTC') zone from contact) z, generate_series(1, 3) y)
select id from contact c join days on zone = coalesce(c.time_zone, 'UTC') and "day" = (created_at at time zone zone)::date`,
	},
}

var messageCases = []segmentCase{
	{
		ofMessages, "opened-not-clicked", `opened("spring") && !clicked("spring")`,
		`select contact_id from engaged e join send d on d.id = e.send_id and d.campaign = 'spring' group by 1
    having bool_or(what = 'opened') and not bool_or(what = 'clicked')`,
	},
	{
		ofMessages, "received-not-opened", `received("spring") && !opened("spring")`,
		`select distinct l.contact_id from ledger l join send d on d.id = l.send_id and d.campaign = 'spring'
where l.state = 'sent' and l.settled_at <= now()
    and not exists (select from engaged e where e.contact_id = l.contact_id and e.send_id = d.id and e.what = 'opened')`,
	},
	{
		ofMessages, "readers", `clicked().within("60d").count() >= 2`,
		`select contact_id from engaged where what = 'clicked' and at > now() - interval '1440 hours' and at <= now() group by 1 having count(*) >= 2`,
	},
	{
		ofMessages, "asleep", `received().within("180d").count() >= 3 && !opened().within("180d")`,
		`select l.contact_id from ledger l where l.state = 'sent' and l.settled_at > now() - interval '4320 hours' and l.settled_at <= now()
    and not exists (select from engaged e where e.contact_id = l.contact_id and e.what = 'opened' and e.at > now() - interval '4320 hours')
group by 1 having count(*) >= 3`,
	},
	{
		ofMessages, "left-alone", `received().within("30d").count() < 1`,
		`select id from contact c where not exists (
    select from ledger l where l.contact_id = c.id and l.state = 'sent' and l.settled_at > now() - interval '720 hours' and l.settled_at <= now())`,
	},
	{
		ofMessages, "opened-lately", `opened().within("30d")`,
		`select distinct contact_id from engaged where what = 'opened' and at > now() - interval '720 hours' and at <= now()`,
	},
}

// membersOf reads another segment's membership.
func membersOf(name string) string {
	return `select contact_id from segment_member where segment_id = (select id from segment where name = '` + name + `')`
}

var nestedCases = []segmentCase{
	{
		ofSegments, "lapsed-worth-a-call", `in_segment("lapsed") && contact.lifetime_value > 500 && has_identifier("phone")`,
		`select id from contact c where attr_lifetime_value > 500 and id in (` + membersOf("lapsed") + `)
    and exists (select from identifier_link l join identifier i on i.id = l.identifier_id where l.contact_id = c.id and i.type = 'phone')`,
	},
	{
		ofSegments, "everybody-else", `consented("newsletter") && !in_segment("big-spenders") && !in_segment("lapsed")`,
		`select contact_id from consent where purpose = 'newsletter' and granted
except ` + membersOf("big-spenders") + `
except ` + membersOf("lapsed"),
	},
	{
		ofSegments, "paying-adults", `in_segment("paying") && in_segment("adults")`,
		membersOf("paying") + `
intersect ` + membersOf("adults"),
	},
}
