package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// mentionInfo is a mention as the API tells it.
type mentionInfo struct {
	ID         string             `json:"id"`
	Network    string             `json:"network"`
	NativeID   string             `json:"native_id,omitempty"`
	Kind       string             `json:"kind"`
	URL        string             `json:"url,omitempty"`
	Author     *mentionAuthor     `json:"author,omitempty"`
	Title      string             `json:"title,omitempty"`
	Text       string             `json:"text"`
	Language   string             `json:"language,omitempty"`
	Visibility string             `json:"visibility,omitempty"`
	Sentiment  mentionSentiment   `json:"sentiment"`
	Topics     []mentionTopic     `json:"topics"`
	Sources    []string           `json:"sources"`
	Rating     *mentionRating     `json:"rating,omitempty"`
	Engagement *mentionEngagement `json:"engagement,omitempty"`
	Tags       []string           `json:"tags,omitempty"`
	Links      []string           `json:"links,omitempty"`
	Media      []mentionMedia     `json:"media,omitempty"`
	Parent     string             `json:"parent,omitempty"`
	Thread     string             `json:"thread,omitempty"`
	Subject    string             `json:"subject,omitempty"`
	CreatedAt  time.Time          `json:"created_at"`
	EditedAt   *time.Time         `json:"edited_at,omitempty"`
	ReceivedAt time.Time          `json:"received_at"`
}

type mentionAuthor struct {
	ID        string `json:"id,omitempty"`
	NativeID  string `json:"native_id,omitempty"`
	Handle    string `json:"handle,omitempty"`
	Name      string `json:"name,omitempty"`
	URL       string `json:"url,omitempty"`
	Followers *int64 `json:"followers,omitempty"`
	Bot       bool   `json:"bot,omitempty"`
}

// words name an author as people do.
func (a *mentionAuthor) words() string {
	switch {
	case a == nil:
		return "-"
	case a.Handle != "":
		return "@" + a.Handle
	case a.Name != "":
		return a.Name
	case a.NativeID != "":
		return a.NativeID
	}
	return "-"
}

type mentionSentiment struct {
	Label      string        `json:"label"`
	Polarity   float64       `json:"polarity"`
	Confidence float64       `json:"confidence"`
	Engine     string        `json:"engine,omitempty"`
	Words      []mentionWord `json:"words,omitempty"`
	Ironic     bool          `json:"ironic,omitempty"`
}

type mentionWord struct {
	Word    string   `json:"word"`
	Weight  float64  `json:"weight"`
	Because []string `json:"because,omitempty"`
}

type mentionTopic struct {
	Monitor string   `json:"monitor"`
	Topic   string   `json:"topic"`
	Terms   []string `json:"terms,omitempty"`
}

type mentionRating struct {
	Value float64 `json:"value"`
	Best  float64 `json:"best"`
}

type mentionEngagement struct {
	Likes   int64 `json:"likes"`
	Reposts int64 `json:"reposts"`
	Replies int64 `json:"replies"`
	Views   int64 `json:"views"`
}

// mentionFilter are the flags by which mentions are chosen.
type mentionFilter struct {
	search, source, monitor, topic, sentiment, language, kind, author string
}

func (f *mentionFilter) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.monitor, "monitor", "", "those that a monitor found")
	flags.StringVar(&f.topic, "topic", "", "those about one topic of the monitor")
	flags.StringVar(&f.sentiment, "sentiment", "", "negative, neutral or positive ones")
	flags.StringVar(&f.language, "lang", "", "those in a language, such as es")
	flags.StringVar(&f.kind, "kind", "", "Post, Reply, Repost, Quote, Review, Message or Article")
	flags.StringVar(&f.author, "author", "", "by an author, named by id, which mentions show")
}

// query is the filter as the API reads it.
func (f *mentionFilter) query() url.Values {
	query := url.Values{}
	for name, value := range map[string]string{
		"q": f.search, "source": f.source, "monitor": f.monitor, "topic": f.topic, "sentiment": f.sentiment, "language": f.language, "kind": f.kind,
		"author": f.author,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// mentionsOptions are what `tertulia mentions` is told.
type mentionsOptions struct {
	filter mentionFilter
	window windowFlags
	limit  int
}

// maxMentions is how many mentions are listed at most. Whoever wants all of them reads the database.
const maxMentions = 10_000

// NewMentionsCommand is `tertulia mentions`: what people wrote.
func NewMentionsCommand() *cobra.Command {
	var v segmentVerb
	var o mentionsOptions
	cmd := v.command(&cobra.Command{
		Use: "mentions [WORDS...]", Aliases: []string{"mention"}, GroupID: "use", Short: "Search what people wrote, and correct how it was judged",
		Long: "Lists what sources stored, the newest first. WORDS are searched for in Spanish and in English, in whatever form: \"cobrar dos veces\"\n" +
			"finds «me han cobrado dos veces». In quotation marks they stand in a row, OR is one of two, and a minus leaves out what has the word.\n" +
			"The words show and correct alone are verbs: search for '\"show\"'.\n\n" +
			"The tenant's server answers; its tokens have the scope mentions:read, and mentions:write to correct. What people wrote is theirs:\n" +
			"it is shown to who may see it, and what they delete is forgotten here too.",
		Example: "  tertulia mentions 'cobrado dos veces' --sentiment negative --since 6h\n" +
			"  tertulia mentions --monitor velo --lang en --output json | jq '.mentions[].text'\n" +
			"  tertulia mentions '\"doble cobro\" -banco' --since 2026-11-20",
		Args: cobra.ArbitraryArgs,
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		o.filter.search = strings.Join(args, " ")
		return o.list(cmd.Context(), client, cmd.OutOrStdout(), v.output, time.Now())
	})
	flags := cmd.Flags()
	o.filter.addFlags(flags)
	flags.StringVar(&o.filter.source, "source", "", "those that a source brought")
	o.window.addFlags(cmd, "")
	flags.IntVar(&o.limit, "limit", 20, "how many to list at most, up to "+strconv.Itoa(maxMentions))
	cmd.AddCommand(newMentionShow(), newMentionCorrect())
	return cmd
}

func (o *mentionsOptions) list(ctx context.Context, client *tenantClient, out io.Writer, output string, now time.Time) error {
	if o.limit < 1 || o.limit > maxMentions {
		return fmt.Errorf("--limit is from 1 to %d", maxMentions)
	}
	query := o.filter.query()
	if err := o.window.addTo(query, now); err != nil {
		return err
	}
	list, err := listPages[mentionInfo](ctx, client, "/v1/mentions", "mentions", query, o.limit)
	if err != nil {
		return fmt.Errorf("list mentions: %w", err)
	}
	if output == outputJSON {
		return printStrangers(out, map[string]any{"mentions": list})
	}
	r := newMentionPrinter(out)
	for _, m := range list {
		r.block(m)
	}
	if len(list) == 0 {
		fmt.Fprintln(out, "no mentions")
	}
	return nil
}

// pastTime reads a time in the past: how long ago it was, a date here, or a time.
func pastTime(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", "2006-01-02T15:04"} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return at, nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= 36_500 {
			return now.AddDate(0, 0, -n), nil
		}
	} else if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: write how long ago (6h, 7d), a date (2026-11-22) or a time (2026-11-22T10:00:00Z)", text)
}

// mentionDetail is a mention with what belongs to it, as the API tells it.
type mentionDetail struct {
	Mention     mentionInfo         `json:"mention"`
	Named       []mentionAuthor     `json:"named"`
	Revisions   []mentionRevision   `json:"revisions"`
	ThreadOf    []mentionInfo       `json:"thread"`
	Corrections []mentionCorrection `json:"corrections"`
}

type mentionMedia struct {
	Type        string `json:"type"`
	URL         string `json:"url"`
	Description string `json:"description,omitempty"`
}

type mentionRevision struct {
	At    time.Time `json:"at"`
	Title string    `json:"title,omitempty"`
	Text  string    `json:"text"`
	Label string    `json:"label,omitempty"`
}

type mentionCorrection struct {
	At     time.Time `json:"at"`
	Label  string    `json:"label"`
	Was    string    `json:"was"`
	Engine string    `json:"was_engine,omitempty"`
	By     string    `json:"by"`
	Token  string    `json:"token,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

func mentionPath(id string) string { return "/v1/mentions/" + url.PathEscape(id) }

func newMentionShow() *cobra.Command {
	var v segmentVerb
	return v.command(&cobra.Command{
		Use: "show ID", Short: "Show a mention with the words that decided, its editions and its conversation", Args: cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		var detail mentionDetail
		if err := client.call(cmd.Context(), http.MethodGet, mentionPath(args[0]), nil, &detail); err != nil {
			return fmt.Errorf("show a mention: %w", err)
		}
		if v.output == outputJSON {
			return printStrangers(cmd.OutOrStdout(), detail)
		}
		newMentionPrinter(cmd.OutOrStdout()).detail(detail)
		return nil
	})
}

// labels are how a mention can be judged.
var labels = []string{"negative", "neutral", "positive"}

func newMentionCorrect() *cobra.Command {
	var v segmentVerb
	var label, by, reason string
	cmd := v.command(&cobra.Command{
		Use: "correct ID --sentiment LABEL --by NAME", Short: "Say how a mention is really meant; it counts so from then on",
		Long:    "What monitors counted is corrected too, and what you say is recorded. An edit of the post is judged anew.",
		Example: "  tertulia mentions correct 7d0c2f5e-1111-4222-8333-944455566677 --sentiment positive --by ana --reason 'meant kindly'",
		Args:    cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		if !slices.Contains(labels, label) {
			return errors.New("--sentiment is negative, neutral or positive")
		}
		if strings.TrimSpace(by) == "" {
			return errors.New("--by names who says so")
		}
		body := map[string]any{"label": label, "by": by}
		if reason != "" {
			body["reason"] = reason
		}
		var corrected json.RawMessage
		if err := client.call(cmd.Context(), http.MethodPost, mentionPath(args[0])+"/sentiment", body, &corrected); err != nil {
			return fmt.Errorf("correct a mention: %w", err)
		}
		if v.output == outputJSON {
			return printStrangers(cmd.OutOrStdout(), corrected)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s counts as %s\n", args[0], label)
		return nil
	})
	flags := cmd.Flags()
	flags.StringVar(&label, "sentiment", "", "negative, neutral or positive")
	flags.StringVar(&by, "by", "", "who says so; recorded")
	flags.StringVar(&reason, "reason", "", "why; recorded")
	return cmd
}
