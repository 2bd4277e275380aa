package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const people = `external_id,email:verified,phone,first_name,birthday,lifetime_value,member,orders,plan,last_seen,tags,locale,time_zone,consent:newsletter
C1,Ana@Example.com,+34 600 111 222,Ana,1990-05-17,12.50,true,3,pro,2026-11-21T10:00:00+01:00,road|club,es_ES,Europe/Madrid,true
C2,bea@example.com,,"Bea ""B"", the 2nd",,,,,,,,,,false
C3,,,,,,,,,,,,,
`

func TestImportTakesEveryColumn(t *testing.T) {
	f := newFixture(t)
	got := f.importCSV(people)
	if diff := cmp.Diff(&counts{Rows: 3, Created: 3}, got.result); diff != "" {
		t.Fatalf("-want +got:\n%s\n%v", diff, got)
	}
	want := []string{
		"C1|Ana|1990-05-17|12.50|true|3|pro|2026-11-21T09:00:00|{road,club}|es-ES|Europe/Madrid",
		`C2|Bea "B", the 2nd|-|-|-|-|-|-|{}|-|-`,
		"C3|-|-|-|-|-|-|-|{}|-|-",
	}
	columns := `coalesce(attr_first_name, '-'), coalesce(attr_birthday::text, '-'), coalesce(attr_lifetime_value::text, '-'), coalesce(attr_member::text, '-'),
		coalesce(attr_orders::text, '-'), coalesce(attr_plan, '-'), coalesce(to_char(attr_last_seen at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS'), '-'),
		tags::text, coalesce(locale, '-'), coalesce(time_zone, '-')`
	if diff := cmp.Diff(want, f.people(columns)); diff != "" {
		t.Errorf("contacts: -want +got:\n%s", diff)
	}
	identifiers := f.rows(`select i.type, i.value, l.verified, l.source from identifier i join identifier_link l on l.identifier_id = i.id order by 1, 2`)
	if diff := cmp.Diff([]string{
		"email|ana@example.com|true|shop", "email|bea@example.com|true|shop",
		"external:shop|C1|true|shop", "external:shop|C2|true|shop", "external:shop|C3|true|shop",
		"phone|+34600111222|false|shop",
	}, identifiers); diff != "" {
		t.Errorf("identifiers: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"newsletter|false|false|shop", "newsletter|true|false|shop"},
		f.rows("select purpose, granted, by_contact, source from consent order by granted")); diff != "" {
		t.Errorf("consents: -want +got:\n%s", diff)
	}
}

func TestImportAgainChangesNothing(t *testing.T) {
	for name, text := range map[string]string{
		"plain": people,
		"two customers with one address": "external_id,email:verified,first_name,tags,consent:newsletter\n" +
			"C1,ana@example.com,Ana,a,true\nC2,ana@example.com,Anne,b,false\nC1,other@example.com,Hanna,c,true\n",
		"an address that is verified to somebody else": "external_id,email:verified,phone:verified\n" +
			"C1,ana@example.com,+34600111222\nC2,bea@example.com,+34600111223\nC3,ana@example.com,+34600111223\n",
		"an address of a household": "external_id,email,consent:news\nC1,casa@example.com,true\nC2,casa@example.com,\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			first := f.importCSV(text)
			if first.result == nil {
				t.Fatal(first.problem)
			}
			before := f.versions()
			again := f.importCSV(text)
			want := &counts{Rows: first.result.Rows, Rejected: first.result.Rejected, Unchanged: first.result.Rows - first.result.Rejected}
			if diff := cmp.Diff(want, again.result); diff != "" {
				t.Errorf("counts: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(before, f.versions()); diff != "" {
				t.Errorf("rows were written: -before +after:\n%s", diff)
			}
		})
	}
}

func TestImportFindsPeople(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		files  []string // source, text
		people []string
		links  []string
	}{
		"by the source's id": {
			reason: "the same id is the same person, whatever else changed",
			files:  []string{"shop", "external_id,email,first_name\nC1,a@example.com,Ana\n", "shop", "external_id,email,first_name\nC1,b@example.com,Anna\n"},
			people: []string{"C1|Anna"},
			links:  []string{"email a@example.com C1 false", "email b@example.com C1 false", "external:shop C1 C1 true"},
		},
		"by a verified address": {
			reason: "two systems know one person; both ids lead to them from now on",
			files:  []string{"shop", "external_id,email:verified,first_name\nC1,a@example.com,Ana\n", "crm", "external_id,email:verified,first_name\nX,A@EXAMPLE.COM,Anna\n"},
			people: []string{"C1+X|Anna"},
			links:  []string{"email a@example.com C1+X true", "external:crm X C1+X true", "external:shop C1 C1+X true"},
		},
		"by a verified number": {
			reason: "without an address the number tells",
			files:  []string{"shop", "external_id,phone:verified\nC1,+34600111222\n", "crm", "external_id,phone:verified,email\nX,0034 600-111-222,a@example.com\n"},
			people: []string{"C1+X|-"},
			links:  []string{"email a@example.com C1+X false", "external:crm X C1+X true", "external:shop C1 C1+X true", "phone +34600111222 C1+X true"},
		},
		"not by an unverified address": {
			reason: "anybody can type anybody's address: it is noted for both",
			files:  []string{"shop", "external_id,email:verified\nC1,a@example.com\n", "web", "external_id,email\nW,a@example.com\n"},
			people: []string{"C1|-", "W|-"},
			links:  []string{"email a@example.com C1 true", "email a@example.com W false", "external:shop C1 C1 true", "external:web W W true"},
		},
		"not by an address that was noted only": {
			reason: "the first did not prove it; the second did and gets it",
			files:  []string{"web", "external_id,email\nW,a@example.com\n", "shop", "external_id,email:verified\nC1,a@example.com\n"},
			people: []string{"C1|-", "W|-"},
			links:  []string{"email a@example.com C1 true", "email a@example.com W false", "external:shop C1 C1 true", "external:web W W true"},
		},
		"verified later": {
			reason: "the link that was noted becomes proof",
			files:  []string{"shop", "external_id,email\nC1,a@example.com\n", "shop", "external_id,email:verified\nC1,a@example.com\n"},
			people: []string{"C1|-"},
			links:  []string{"email a@example.com C1 true", "external:shop C1 C1 true"},
		},
		"nobody is merged": {
			reason: "two known people, one address: the first proof stays",
			files:  []string{"shop", "external_id,email:verified\nC1,a@example.com\nC2,b@example.com\n", "shop", "external_id,email:verified\nC2,a@example.com\n"},
			people: []string{"C1|-", "C2|-"},
			links: []string{
				"email a@example.com C1 true", "email a@example.com C2 false", "email b@example.com C2 true", "external:shop C1 C1 true", "external:shop C2 C2 true",
			},
		},
		"empty cells leave what is there": {
			reason: "a file need not say everything",
			files:  []string{"shop", "external_id,first_name\nC1,Ana\n", "shop", "external_id,first_name\nC1,\n"},
			people: []string{"C1|Ana"},
			links:  []string{"external:shop C1 C1 true"},
		},
		"two customers with one address": {
			reason: "the source tells them apart; the address is verified to one of them",
			files:  []string{"shop", "external_id,email:verified,first_name\nC1,a@example.com,Ana\nC2,a@example.com,Anne\n"},
			people: []string{"C1|Ana", "C2|Anne"},
			links:  []string{"email a@example.com C1 true", "email a@example.com C2 false", "external:shop C1 C1 true", "external:shop C2 C2 true"},
		},
		"known apart, and then by one address": {
			reason: "two sources knew two people, until both have verified that they have one address",
			files: []string{
				"shop", "external_id,email:verified,first_name\nC1,a@example.com,Ana\n", "crm", "external_id,first_name\nX,Anna\n",
				"crm", "external_id,email:verified,first_name\nX,a@example.com,\n",
			},
			people: []string{"C1+X|Anna"},
			links:  []string{"email a@example.com C1+X true", "external:crm X C1+X true", "external:shop C1 C1+X true"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			for i := 0; i < len(c.files); i += 2 {
				if got := f.importFrom(c.files[i], strings.NewReader(c.files[i+1])); got.result == nil || got.result.Rejected > 0 {
					t.Fatalf("%s: %+v", c.reason, got)
				}
			}
			if diff := cmp.Diff(c.people, f.people("coalesce(attr_first_name, '-')")); diff != "" {
				t.Errorf("%s: people: -want +got:\n%s", c.reason, diff)
			}
			links := f.rows(`with person as (
				select l.contact_id, string_agg(i.value, '+' order by i.value) name from identifier_link l
				join identifier i on i.id = l.identifier_id and i.type like 'external:%' group by 1)
				select concat_ws(' ', i.type, i.value, p.name, l.verified) from identifier i
				join identifier_link l on l.identifier_id = i.id join person p on p.contact_id = l.contact_id order by 1`)
			for i := range links {
				links[i] = strings.NewReplacer(" t", " true", " f", " false").Replace(links[i])
			}
			if diff := cmp.Diff(c.links, links); diff != "" {
				t.Errorf("%s: links: -want +got:\n%s", c.reason, diff)
			}
		})
	}
}

func TestImportNeverOverridesThePerson(t *testing.T) {
	f := newFixture(t)
	f.importCSV("external_id,consent:newsletter,consent:offers\nC1,true,true\n")
	f.exec("update consent set granted = false, by_contact = true, source = 'unsubscribe' where purpose = 'newsletter'")
	f.importCSV("external_id,consent:newsletter,consent:offers,consent:news\nC1,true,false,true\n")
	want := []string{"news|true|false|shop", "newsletter|false|true|unsubscribe", "offers|false|false|shop"}
	if diff := cmp.Diff(want, f.rows("select purpose, granted, by_contact, source from consent order by 1")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestImportAddsTags(t *testing.T) {
	f := newFixture(t)
	f.importCSV("external_id,tags\nC1,b| a |b|\n")
	f.importCSV("external_id,tags\nC1,c|\"quoted\"|back\\slash|a\n")
	f.importCSV("external_id,tags\nC1,\"c|\"\"quoted\"\"|back\\slash|a\"\nC2,\"{x,y}|with,comma|\"\n")
	if diff := cmp.Diff([]string{`C1|b·a·c·"quoted"·back\slash`, "C2|{x,y}·with,comma"}, f.people("array_to_string(tags, '·')")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestImportRejectsRows(t *testing.T) {
	const header = "external_id,email,phone,first_name,birthday,lifetime_value,member,orders,plan,last_seen,tags,locale,time_zone,consent:newsletter\n"
	row := func(at int, value string) string {
		cells := make([]string, 14)
		cells[0], cells[at] = "C1", value
		return strings.Join(cells, ",") + "\n"
	}
	for name, c := range map[string]struct{ row, want string }{
		"no id":              {row(0, ""), "external_id: is empty"},
		"a long id":          {row(0, strings.Repeat("x", 256)), "external_id: is longer than 255 bytes"},
		"too few cells":      {"C1,a@example.com\n", "cells: 2 where the header has 14"},
		"too many cells":     {strings.TrimSuffix(row(0, "C1"), "\n") + ",more\n", "cells: 15 where the header has 14"},
		"an address":         {row(1, "ana(at)example.com"), "email: is no e-mail address: it must look like ana@example.com"},
		"a domain":           {row(1, "ana@localhost"), "email: is no e-mail address: the part after the @ is no domain name, such as example.com"},
		"a local part":       {row(1, "ana maria@example.com"), "email: is no e-mail address: the part before the @ has a space, a special character or a dot out of place"},
		"a number at home":   {row(2, "600111222"), "phone: is no telephone number in international form, such as +34600111222"},
		"a date":             {row(4, "17/05/1990"), "birthday: is no Date: write year, month and day, such as 2027-03-21"},
		"a day that is none": {row(4, "1990-02-30"), "birthday: is no Date: write year, month and day, such as 2027-03-21"},
		"a decimal comma":    {row(5, "\"12,50\""), "lifetime_value: is no Decimal: write a number such as 1234.50, with a point and without separators"},
		"not a number":       {row(5, "NaN"), "lifetime_value: is no Decimal: write a number such as 1234.50, with a point and without separators"},
		"yes":                {row(6, "yes"), "member: is no Boolean: write true or false"},
		"a large integer":    {row(7, "9223372036854775808"), "orders: is no Integer: write a whole number such as 42, without separators"},
		"outside the enum":   {row(8, "clbu"), `plan: is none of free, club, pro: did you mean "club"?`},
		"no zone":            {row(9, "2026-11-21T10:00:00"), "last_seen: is no Timestamp: write it as RFC 3339, such as 2027-03-21T09:00:00+01:00"},
		"a long tag":         {row(10, strings.Repeat("t", 101)), "tags: hold one that is longer than 100 bytes"},
		"a language":         {row(11, "castellano"), "locale: is no language tag (BCP 47), such as es or es-MX"},
		"a zone":             {row(12, "Madrid"), "time_zone: is no time zone of the IANA database, such as Europe/Madrid"},
		"a path for a zone":  {row(12, "../../etc/passwd"), "time_zone: is no time zone of the IANA database, such as Europe/Madrid"},
		"maybe":              {row(13, "maybe"), "consent:newsletter: is neither true nor false nor empty"},
		"a NUL":              {row(3, "A\x00a"), "cell 4 contains a NUL character"},
		"Latin-1":            {row(3, "Jos\xe9"), "cell 4 is not in UTF-8: the file mixes encodings, or is in another one; convert it, such as with iconv -f WINDOWS-1252 -t UTF-8"},
		"a long cell":        {row(3, strings.Repeat("x", 10<<20)), "cell 4 is longer than 64 KiB: shorten it, or leave its column out"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			got := f.importCSV(header + "C0" + strings.Repeat(",", 13) + "\n" + c.row + "C9" + strings.Repeat(",", 13) + "\n")
			if diff := cmp.Diff(&counts{Rows: 3, Created: 2, Rejected: 1}, got.result); diff != "" {
				t.Errorf("the other rows must be imported: -want +got:\n%s\n%s", diff, got.problem)
			}
			if len(got.rejected) != 1 || got.rejected[0].Line != 3 || got.rejected[0].Reason != c.want {
				t.Errorf("got %.500v, want line 3: %s", got.rejected, c.want)
			}
			if log := f.log.String(); strings.Contains(log, "rror") {
				t.Errorf("the log says %s", log)
			}
		})
	}
}

func TestImportRejectsARepeatedRecord(t *testing.T) {
	f := newFixture(t)
	var text strings.Builder
	text.WriteString("external_id,first_name\n")
	for i := range 30_000 { // more than a batch
		fmt.Fprintf(&text, "C%d,a\n", i)
	}
	text.WriteString("C29999,b\nC1,b\nD,b\n")
	got := f.importCSV(text.String())
	if diff := cmp.Diff(&counts{Rows: 30_003, Created: 30_001, Rejected: 2}, got.result); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	reason := "external_id: stands on an earlier line already; keep one line for each"
	want := []rejected{{Line: 30_002, Reason: reason, Record: []string{"C29999", "b"}}, {Line: 30_003, Reason: reason, Record: []string{"C1", "b"}}}
	if diff := cmp.Diff(want, got.rejected); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"0"}, f.rows("select count(*) from contact c where attr_first_name = 'b' and id not in (select contact_id from identifier_link l join identifier i on i.id = l.identifier_id where value = 'D')")); diff != "" {
		t.Errorf("a rejected row was written:\n%s", diff)
	}
}

func TestImportRefusesAFile(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"an unknown column":     {"external_id,emial\n", `column 2 \"emial\": unknown column: did you mean \"email\"?`},
		"an unknown attribute":  {"external_id,frist_name\n", `column 2 \"frist_name\": unknown column: did you mean \"first_name\"?`},
		"nothing near":          {"external_id,favourite_jersey\n", `column 2 \"favourite_jersey\": unknown column: declare it as an attribute in the RecordType \"contact\", or remove the column`},
		"a column twice":        {"external_id,email,email:verified\n", `column 3 \"email:verified\": column 2 holds the same: keep one of them`},
		"a purpose":             {"external_id,consent:News Letter\n", `column 2 \"consent:News Letter\": a purpose is written in lower-case letters`},
		"a near prefix":         {"external_id,consents:newsletter\n", `did you mean \"consent:newsletter\"?`},
		"a column without name": {"external_id,,email\n", `column 2 \"\": the column has no name`},
		"no id":                 {"email\n", `the column \"external_id\" is missing`},
		"UTF-16":                {"\xff\xfee\x00x\x00", `but in UTF-16: save it as \"CSV UTF-8\"`},
		"Latin-1":               {"external_id,a\xf1o\n", "is not in UTF-8"},
		"line breaks of a Mac":  {"external_id,email\rC1,a@example.com\r", "carriage returns only"},
		"a header of 10 MB":     {"external_id," + strings.Repeat("x", 10<<20), "is longer than 64 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			got := f.importCSV(strings.TrimSpace(c.text + "C1,a@example.com\n"))
			if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.problem, c.want) {
				t.Errorf("got status %d and %s, want 422 and %s", got.status, got.problem, c.want)
			}
			if n := f.rows("select count(*) from contact"); n[0] != "0" {
				t.Errorf("%s contacts were imported", n[0])
			}
		})
	}
}

func TestImportRefusesAnEmptyFile(t *testing.T) {
	f := newFixture(t)
	for _, text := range []string{"", "\n\r\n", "\xef\xbb\xbf"} {
		if got := f.importCSV(text); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.problem, "The file is empty") {
			t.Errorf("%q: status %d, %s", text, got.status, got.problem)
		}
	}
}

func TestImportReadsWhatSpreadsheetsWrite(t *testing.T) {
	for name, text := range map[string]string{
		"a byte order mark":          "\xef\xbb\xbfexternal_id,first_name\r\nC1,Ana\r\n",
		"semicolons":                 "external_id;first_name\r\nC1;Ana\r\n",
		"tabs":                       "external_id\tfirst_name\nC1\tAna",
		"everything quoted":          "\"external_id\",\"first_name\"\r\n\"C1\",\"Ana\"\r\n",
		"a file of rejected rows":    "line,reason,external_id,first_name\n7,\"plan: is none of a, b\",C1,Ana\n",
		"spaces around column names": "external_id , first_name\nC1,Ana\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if got := f.importCSV(text); got.result == nil || got.result.Created != 1 {
				t.Fatalf("%+v", got)
			}
			if diff := cmp.Diff([]string{"C1|Ana"}, f.people("attr_first_name")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
