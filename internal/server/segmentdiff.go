package server

import (
	"context"
	"fmt"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/segment"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// maxDiffBody is room for as many manifests as a request holds.
const maxDiffBody = 1 << 20

type diffInput struct {
	Body struct {
		Name     string         `json:"name" minLength:"1" maxLength:"253" doc:"The Segment whose members are compared: one of segments."`
		Segments []manifestBody `json:"segments" minItems:"1" maxItems:"100" doc:"The Segments that would be merged together: others are read where the one that is compared asks for their membership."`
	}
}

type manifestBody struct {
	Name    string `json:"name" minLength:"1" maxLength:"253" doc:"metadata.name"`
	Match   string `json:"match" minLength:"1" maxLength:"8192" doc:"spec.match"`
	Suspend bool   `json:"suspend,omitempty" doc:"spec.suspend"`
}

type diffOutput struct{ Body diffBody }

type diffBody struct {
	Name      string      `json:"name" doc:"The Segment's name."`
	IsNew     bool        `json:"is_new" doc:"No Segment of this name is in force: everybody who belongs enters."`
	Unchanged bool        `json:"unchanged" doc:"The definition is the one in force: nobody enters or leaves because of it."`
	Suspended bool        `json:"suspended" doc:"spec.suspend keeps the membership as it is."`
	Stale     bool        `json:"stale" doc:"The membership in force is being brought up to date: what it has not caught up with is counted too."`
	Members   *int64      `json:"members,omitempty" doc:"How many belong now; absent where it has no membership."`
	Then      toldBody    `json:"members_then" doc:"How many would belong. It is hidden where it would tell a number that is."`
	Enter     toldBody    `json:"enter" doc:"How many would enter."`
	Leave     toldBody    `json:"leave" doc:"How many would leave."`
	By        []breakdown `json:"by" doc:"The same by attributes that are not personal and have few values, by locale and by tags. Attributes of which nothing can be told are left out."`
	Omitted   []string    `json:"omitted,omitempty" doc:"Attributes that have too many values."`
	UsedBy    usersBody   `json:"used_by" doc:"Who follows: segments that ask for its membership, and campaigns that are sent to it or leave it out and have not ended."`
}

type toldBody struct {
	Count  *int64 `json:"count,omitempty" doc:"How many; absent where it is hidden."`
	Hidden string `json:"hidden,omitempty" enum:"<10,withheld" doc:"<10: fewer than ten, or none. withheld: it would tell a number that is hidden."`
}

type breakdown struct {
	Attribute string        `json:"attribute" doc:"An attribute, locale, or tags, of which a person may have several."`
	Values    []valueCounts `json:"values" doc:"The most frequent first; values of nobody who enters or leaves are absent."`
}

type valueCounts struct {
	Value string   `json:"value,omitempty" doc:"The value; absent for those who have none and for all others together."`
	Which string   `json:"which,omitempty" enum:"unknown,others" doc:"unknown: those who have no value. others: those of all values that few people have."`
	Enter toldBody `json:"enter" doc:"How many of those who would enter."`
	Leave toldBody `json:"leave" doc:"How many of those who would leave."`
}

func tellCount(c segment.Told) toldBody {
	if c.Hidden != "" {
		return toldBody{Hidden: string(c.Hidden)}
	}
	return toldBody{Count: &c.N}
}

func diffSegment(ctx context.Context, in *diffInput) (*diffOutput, error) {
	t := tenantOf(ctx)
	place, err := manifestPlace(in)
	if err != nil {
		return nil, err
	}
	done, err := t.takeLook()
	if err != nil {
		return nil, err
	}
	defer done()
	list, err := t.db.ListSegments(ctx)
	if err != nil {
		return nil, lookError(ctx, in.Body.Name, err)
	}
	schema, err := t.db.LoadExpressionSchema(ctx)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	proposals, problems, err := propose(in, list, schema)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	if len(problems) > 0 {
		return nil, describeProblems(in, problems)
	}
	body, err := diffOf(ctx, t.db, in.Body.Segments[place], list)
	if err != nil {
		return nil, lookError(ctx, in.Body.Name, err)
	}
	if at := slices.IndexFunc(list, func(s store.LookedSegment) bool { return s.Name == in.Body.Name }); at >= 0 {
		body.Unchanged = len(proposals) == 1 && list[at].Digest == proposals[0].Digest && list[at].BuiltDigest == proposals[0].Digest
	}
	if !body.Unchanged && !body.Suspended {
		found, err := t.db.CompareSegment(ctx, schema, proposals)
		if err != nil {
			return nil, lookError(ctx, in.Body.Name, err)
		}
		body.tell(found)
	}
	return &diffOutput{Body: body}, nil
}

// propose compiles what the request asks about, against what is in force.
func propose(in *diffInput, list []store.LookedSegment, schema crm.Schema) ([]segment.Proposal, []segment.Problem, error) {
	manifests, inForce := make([]segment.Manifest, len(in.Body.Segments)), map[string]segment.InForce{}
	for i, m := range in.Body.Segments {
		manifests[i] = segment.Manifest(m)
	}
	for _, s := range list {
		inForce[s.Name] = segment.InForce{Match: s.Match, Built: s.BuiltDigest != "", Suspend: !s.Watched}
	}
	return segment.Propose(in.Body.Name, manifests, inForce, schema)
}

// manifestPlace finds the manifest that is compared. Two of one name would be one object.
func manifestPlace(in *diffInput) (int, error) {
	place, seen := -1, map[string]bool{}
	for i, m := range in.Body.Segments {
		if seen[m.Name] {
			return 0, huma.Error422UnprocessableEntity(fmt.Sprintf("segments[%d].name: Segment %q stands there twice.", i, m.Name))
		}
		seen[m.Name] = true
		if m.Name == in.Body.Name {
			place = i
		}
	}
	if place < 0 {
		return 0, huma.Error422UnprocessableEntity("name: it is none of segments.")
	}
	return place, nil
}

// describeProblems tells what is wrong with expressions, each with its manifest's place.
func describeProblems(in *diffInput, problems []segment.Problem) error {
	var details []error
	for _, p := range problems {
		place := slices.IndexFunc(in.Body.Segments, func(m manifestBody) bool { return m.Name == p.Manifest })
		location := fmt.Sprintf("body.segments[%d].match", place)
		if place < 0 {
			location = fmt.Sprintf("Segment %q", p.Manifest) // in force, and asked for
		}
		details = append(details, &huma.ErrorDetail{Location: location, Message: fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Message)})
	}
	return huma.Error422UnprocessableEntity("The expression cannot come into force.", details...)
}

// diffOf is what can be said before anybody is counted: of a definition that changes nothing, all of it.
func diffOf(ctx context.Context, db *store.DB, m manifestBody, list []store.LookedSegment) (diffBody, error) {
	none := tellCount(segment.Told{})
	body := diffBody{Name: m.Name, IsNew: true, Suspended: m.Suspend, Enter: none, Leave: none, Then: none, By: []breakdown{}}
	for _, s := range list {
		if s.Name == m.Name {
			body.IsNew, body.Members, body.Stale = false, s.Members, s.State() != store.SegmentSuspended && s.Lag > 0
		}
	}
	if body.Members != nil {
		body.Then = tellCount(segment.Told{N: *body.Members})
	}
	users, err := db.LoadSegmentUsers(ctx, m.Name)
	body.UsedBy = usersBody{Segments: users.Segments, Campaigns: users.Campaigns}
	return body, err
}

// tell tells what was counted, as far as it may be told.
func (b *diffBody) tell(found store.SegmentComparison) {
	enter, leave := segment.TellTotal(found.Entered), segment.TellTotal(found.Left)
	if b.Members == nil {
		leave = segment.Told{} // there is nobody who could
	}
	b.Enter, b.Leave, b.Omitted = tellCount(enter), tellCount(leave), found.Omitted
	before := int64(0)
	if b.Members != nil {
		before = *b.Members
	}
	switch {
	case enter.Hidden == "" && leave.Hidden == "":
		b.Then = tellCount(segment.Told{N: max(0, before+found.Entered-found.Left)})
	case b.Members == nil:
		b.Then = b.Enter
	default:
		b.Then = toldBody{Hidden: string(segment.Withheld)}
	}
	for _, m := range found.By {
		if values := tellMoves(m, found.Moves, b.Members == nil); len(values) > 0 {
			b.By = append(b.By, breakdown{Attribute: m.Attribute, Values: values})
		}
	}
}

// tellMoves tells the moves by one attribute; nil where nothing of them can be told.
func tellMoves(m store.MovesOf, total store.Moves, isNew bool) []valueCounts {
	rows, moves := valueRows(m)
	entered, left := make([]int64, len(rows)), make([]int64, len(rows))
	for i, v := range moves {
		entered[i], left[i] = v.Entered, v.Left
	}
	enter, leave := tellColumn(m, total.Entered, entered), tellColumn(m, total.Left, left)
	if isNew {
		leave = make([]segment.Told, len(rows)) // there is nobody who could
	}
	told := false
	for i := range rows {
		rows[i].Enter, rows[i].Leave = tellCount(enter[i]), tellCount(leave[i])
		told = told || enter[i].N > 0 || leave[i].N > 0
	}
	if !told {
		return nil
	}
	return rows
}

// tellColumn tells how many of those who enter, or leave, have each value.
func tellColumn(m store.MovesOf, total int64, parts []int64) []segment.Told {
	hidden := segment.TellTotal(total).Hidden
	if hidden == "" && m.Partition {
		if told := segment.TellParts(parts); told != nil {
			return told
		}
		hidden = segment.Withheld
	}
	told := make([]segment.Told, len(parts))
	for i, n := range parts {
		told[i] = segment.Told{Hidden: hidden}
		if hidden == "" {
			told[i] = segment.TellShare(n, total)
		}
	}
	return told
}

// valueRows are the lines of a breakdown. A value that no manifest lists is shown where it is many people's, and else counted among
// the others: it may tell who somebody is.
func valueRows(m store.MovesOf) (rows []valueCounts, moves []store.Moves) {
	var others store.Moves
	for _, v := range m.Values {
		switch {
		case v.Unknown:
			rows, moves = append(rows, valueCounts{Which: "unknown"}), append(moves, v.Moves)
		case m.Listed || max(v.Entered, v.Left) >= segment.LeastTold:
			rows, moves = append(rows, valueCounts{Value: v.Value}), append(moves, v.Moves)
		default:
			others.Entered += v.Entered
			others.Left += v.Left
		}
	}
	if m.Partition && others != (store.Moves{}) {
		rows, moves = append(rows, valueCounts{Which: "others"}), append(moves, others)
	}
	return rows, moves
}
