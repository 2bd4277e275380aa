package expr

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Facts are what is known of a subject, by field. What is missing is unknown; of a list, it is empty.
type Facts map[string]Fact

// Fact is one value: as PostgreSQL reads it, and as cel-go takes it.
type Fact struct {
	text  string
	value ref.Val
}

// Text is a String.
func Text(s string) Fact { return Fact{s, types.String(s)} }

// Integer is an Integer.
func Integer(n int64) Fact {
	return Fact{strconv.FormatInt(n, 10), number{new(big.Rat).SetInt64(n)}}
}

// ReadFact reads a value as PostgreSQL writes it in a column of the type; false for what cannot be one.
func ReadFact(typ crm.ValueType, text string) (fact Fact, known bool) {
	if typ == crm.Boolean {
		value, err := strconv.ParseBool(text)
		return Boolean(value), err == nil
	}
	return readText(typ, text)
}

// Boolean is a Boolean.
func Boolean(b bool) Fact { return Fact{strconv.FormatBool(b), types.Bool(b)} }

// Day is a Date, of which only year, month and day count.
func Day(day time.Time) Fact {
	day = time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, time.UTC)
	return Fact{sqlTime(day, time.DateOnly), moment{day, true}}
}

// Instant is a Timestamp, to the microsecond.
func Instant(at time.Time) Fact {
	at = at.UTC().Truncate(time.Microsecond)
	return Fact{sqlTime(at, "2006-01-02 15:04:05.999999Z"), moment{at, false}}
}

// Texts are a list.
func Texts(list []string) Fact {
	return Fact{arrayText(list), types.NewStringList(types.DefaultTypeAdapter, list)}
}

// Time is the moment of an Instant, and of a Day its midnight in UTC; the zero time of anything else.
func (f Fact) Time() time.Time {
	m, _ := f.value.(moment)
	return m.Time
}

// List are the texts of Texts; nil of anything else.
func (f Fact) List() (list []string) {
	for _, item := range items(f.value) {
		if text, isText := item.(types.String); isText {
			list = append(list, string(text))
		}
	}
	return list
}

// sqlTime writes what an offset has moved before the first year as PostgreSQL reads it: it knows no year 0.
func sqlTime(t time.Time, layout string) string {
	if t.Year() < 1 {
		return t.AddDate(1-2*t.Year(), 0, 0).Format(layout) + " BC"
	}
	return t.Format(layout)
}

// ReadEvent reads the properties of an event, a JSON object, as the functions of the database do that read those of stored events: what is
// missing, of another type than the event's type declares, or of more digits than a statement takes, is unknown.
func ReadEvent(t crm.EventType, properties []byte) Facts {
	facts := Facts{}
	held := map[string]json.RawMessage{}
	if json.Unmarshal(properties, &held) != nil {
		return facts
	}
	for _, p := range t.Properties {
		if fact, known := readProperty(p.Type, held[p.Name]); known {
			facts[p.Name] = fact
		}
	}
	return facts
}

// ReadSubject reads what is known of a subject from a JSON object, in which groups are objects and lists are arrays of texts. The error names the
// first field that the subject has not, or whose value is of another type.
func ReadSubject(s Subject, object []byte) (Facts, error) {
	facts := Facts{}
	return facts, readFields(facts, "", s.Name, s.Fields, object)
}

func readFields(facts Facts, above, owner string, fields []Field, object []byte) error {
	held := map[string]json.RawMessage{}
	if err := json.Unmarshal(object, &held); err != nil {
		return fmt.Errorf("%s is no JSON object", owner)
	}
	for _, name := range slices.Sorted(maps.Keys(held)) {
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name })
		if i < 0 {
			return fmt.Errorf("%s has no field %q%s", owner, name, crm.DidYouMean(name, fieldNames(fields)))
		}
		f, raw := fields[i], held[name]
		if string(raw) == "null" {
			continue
		}
		if len(f.Fields) > 0 {
			if err := readFields(facts, above+name+".", owner+"."+name, f.Fields, raw); err != nil {
				return err
			}
			continue
		}
		fact, known := readField(f, raw)
		if !known {
			return fmt.Errorf("%s.%s is no %s: write it as JSON has it, such as %s", owner, name, f.typeText(), jsonExamples[f.typeText()])
		}
		facts[above+name] = fact
	}
	return nil
}

func readField(f Field, raw json.RawMessage) (Fact, bool) {
	if !f.List {
		return readProperty(f.Type, raw)
	}
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil {
		return Fact{}, false
	}
	return Texts(list), true
}

func (f Field) typeText() string {
	if f.List {
		return "list"
	}
	return string(f.Type)
}

// jsonExamples show values of each type in JSON.
var jsonExamples = map[string]string{
	"String": `"club"`, "Integer": "42", "Decimal": "49.50", "Boolean": "true", "list": `["a", "b"]`,
	"Date": `"2027-03-21"`, "Timestamp": `"2027-03-21T09:00:00Z"`,
}

func readProperty(typ crm.ValueType, raw json.RawMessage) (Fact, bool) {
	var value any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if len(raw) == 0 || d.Decode(&value) != nil {
		return Fact{}, false
	}
	switch value := value.(type) {
	case json.Number:
		if typ == crm.Integer || typ == crm.Decimal {
			return readNumber(value.String())
		}
	case bool:
		return Boolean(value), typ == crm.Boolean
	case string:
		return readText(typ, value)
	}
	return Fact{}, false
}

// readText reads a text as a value of a type. One that PostgreSQL cannot hold is none.
func readText(typ crm.ValueType, text string) (Fact, bool) {
	switch typ {
	case crm.String:
		return Text(text), checkText(text) == nil
	case crm.Integer, crm.Decimal:
		if decimalInText.MatchString(text) {
			return readNumber(text)
		}
	case crm.Date:
		day, err := time.Parse(time.DateOnly, text)
		return Day(day), err == nil && day.Year() > 0
	case crm.Timestamp:
		if instantInText.MatchString(text) && !strings.HasPrefix(text, "0000") {
			at, err := time.Parse(time.RFC3339Nano, text)
			return Instant(at), err == nil
		}
	}
	return Fact{}, false
}

var (
	decimalInText = regexp.MustCompile(`^-?[0-9]{1,30}(\.[0-9]{1,30})?$`)
	instantInText = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`)
)

// longestNumber is how many characters a number of an event may have, written without an exponent. The database writes its numbers so;
// of what somebody else has written with one, maxShift bounds how much is looked at.
const (
	longestNumber = 62
	maxShift      = 4096
)

// readNumber reads a number as JSON writes it. The length of what an exponent stands for is bounded before anything is made of it.
func readNumber(text string) (Fact, bool) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	shift := 0
	if isZero := strings.Trim(mantissa, "-0.") == ""; exponent != "" && (!isZero || strings.HasPrefix(exponent, "-")) {
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil || shift > maxShift || shift < -maxShift {
			return Fact{}, false
		}
	}
	if len(mantissa) > maxShift {
		return Fact{}, false
	}
	value, ok := new(big.Rat).SetString(fmt.Sprintf("%se%d", mantissa, shift))
	if !ok {
		return Fact{}, false
	}
	_, fraction, _ := strings.Cut(mantissa, ".")
	written := value.FloatString(max(len(fraction)-shift, 0))
	return Fact{written, number{value}}, len(written) <= longestNumber
}
