package crm

import "testing"

func TestCanonical(t *testing.T) {
	for name, c := range map[string]struct {
		kind       ValueType
		text, want string // want "" is a refusal
	}{
		"a text as it is":           {String, " a\tb ", " a\tb "},
		"an integer":                {Integer, "-42", "-42"},
		"the least integer":         {Integer, "-9223372036854775808", "-9223372036854775808"},
		"one too many":              {Integer, "9223372036854775808", ""},
		"a sign":                    {Integer, "+7", "7"},
		"a point":                   {Integer, "7.0", ""},
		"a separator":               {Integer, "1_000", ""},
		"a decimal":                 {Decimal, "-1234.50", "-1234.50"},
		"thirty digits":             {Decimal, "123456789012345678901234567890.5", "123456789012345678901234567890.5"},
		"thirty-one":                {Decimal, "1234567890123456789012345678901", ""},
		"an exponent":               {Decimal, "1e3", ""},
		"a comma":                   {Decimal, "1,5", ""},
		"no digit before the point": {Decimal, ".5", ""},
		"none after it":             {Decimal, "5.", ""},
		"infinity":                  {Decimal, "Infinity", ""},
		"true":                      {Boolean, "TRUE", "true"},
		"false":                     {Boolean, "False", "false"},
		"one":                       {Boolean, "1", ""},
		"a day":                     {Date, "2028-02-29", "2028-02-29"},
		"a day that is none":        {Date, "2027-02-29", ""},
		"before our era":            {Date, "0000-01-01", ""},
		"a moment":                  {Timestamp, "2027-03-21T09:00:00+01:00", "2027-03-21T08:00:00Z"},
		"with a fraction":           {Timestamp, "2027-03-21T09:00:00.25Z", "2027-03-21T09:00:00.25Z"},
		"no zone":                   {Timestamp, "2027-03-21T09:00:00", ""},
		"before our era in UTC":     {Timestamp, "0001-01-01T00:00:00+01:00", ""},
		"after what can be written": {Timestamp, "9999-12-31T23:59:59-01:00", ""},
		"a type that is none":       {ValueType("Colour"), "red", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.kind.Canonical(c.text)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%s %q: got %q, %v; want %q", c.kind, c.text, got, err, c.want)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	valid := []string{"email", "first_name", "plan", "phone"}
	for name, want := range map[string]string{
		"emial": "email", "Email": "email", "fristname": "first_name", "planet": "plan", "colour": "", "": "", "e": "",
	} {
		if got := Nearest(name, valid); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
