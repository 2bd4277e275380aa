package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// segmentDifference is what a manifest would change, as the API tells it.
type segmentDifference struct {
	Name      string      `json:"name"`
	IsNew     bool        `json:"is_new"`
	Unchanged bool        `json:"unchanged"`
	Suspended bool        `json:"suspended"`
	Stale     bool        `json:"stale"`
	Members   *int64      `json:"members,omitempty"`
	Then      hiddenCount `json:"members_then"`
	Enter     hiddenCount `json:"enter"`
	Leave     hiddenCount `json:"leave"`
	By        []struct {
		Attribute string `json:"attribute"`
		Values    []struct {
			Value string      `json:"value,omitempty"`
			Which string      `json:"which,omitempty"`
			Enter hiddenCount `json:"enter"`
			Leave hiddenCount `json:"leave"`
		} `json:"values"`
	} `json:"by"`
	Omitted []string     `json:"omitted,omitempty"`
	UsedBy  segmentUsers `json:"used_by"`
}

// hiddenCount is a count, or why it is hidden.
type hiddenCount struct {
	Count  *int64 `json:"count,omitempty"`
	Hidden string `json:"hidden,omitempty"`
}

func (c hiddenCount) String() string {
	if c.Count == nil {
		return c.Hidden
	}
	return strconv.FormatInt(*c.Count, 10)
}

func newSegmentDiff() *cobra.Command {
	var v segmentVerb
	return v.command(&cobra.Command{
		Use: "diff FILE", Short: "Tell how many would enter and leave segments if a file of manifests were merged",
		Long: "Every Segment in the file is compared with the members that it has, in total and by attributes that are not personal and have few\n" +
			"values. Nothing is written. Counts below 10 are hidden, and so are those from which they could be computed. An expression that the\n" +
			"operator would not accept is refused in the same words, with its place in the file. What is no Segment is left out.",
		Args: cobra.ExactArgs(1), Example: "  tertulia segment diff segments/lapsed-club.yaml -n velo\n  kustomize build . | tertulia segment diff - -o json",
	}, func(cmd *cobra.Command, client *tenantClient, args []string) error {
		file, err := openManifests(cmd.InOrStdin(), args[0])
		if err != nil {
			return err
		}
		for _, other := range file.others {
			fmt.Fprintln(cmd.ErrOrStderr(), other)
		}
		differences, err := file.compare(cmd.Context(), client)
		if err != nil {
			return err
		}
		if v.output == outputJSON {
			return printJSON(cmd.OutOrStdout(), map[string]any{"segments": differences})
		}
		for i, d := range differences {
			if i > 0 {
				fmt.Fprintln(cmd.OutOrStdout())
			}
			if err := d.tell(cmd.OutOrStdout()); err != nil {
				return err
			}
		}
		return nil
	})
}

// openManifests reads a file, or the standard input where it is "-".
func openManifests(in io.Reader, name string) (*manifestFile, error) {
	if name == "-" {
		return readManifests("standard input", in)
	}
	file, err := os.Open(name) //nolint:gosec // whoever runs this names it
	if err != nil {
		return nil, fmt.Errorf("read the manifests: %w", err)
	}
	defer func() { _ = file.Close() }()
	return readManifests(name, file)
}

// compare asks for the difference that each Segment makes.
func (f *manifestFile) compare(ctx context.Context, client *tenantClient) ([]segmentDifference, error) {
	differences := []segmentDifference{}
	for _, s := range f.segments {
		if len(f.mistakes) > 0 && !f.readable() {
			break
		}
		request := struct {
			Name     string            `json:"name"`
			Segments []segmentDocument `json:"segments"`
		}{s.Name, f.segments}
		var d segmentDifference
		err := client.call(ctx, http.MethodPost, "/v1/segments:diff", request, &d)
		if err != nil && !f.refused(err) {
			return nil, fmt.Errorf("compare segment %q: %w", s.Name, err)
		}
		differences = append(differences, d)
	}
	if len(f.mistakes) > 0 {
		return nil, f.complaint()
	}
	if len(f.segments) == 0 {
		return nil, fmt.Errorf("%s has no Segment", f.name)
	}
	return differences, nil
}

// readable tells whether what is wrong keeps nobody from looking at the expressions too.
func (f *manifestFile) readable() bool {
	names := map[string]bool{}
	for _, s := range f.segments {
		names[s.Name] = true
	}
	return len(names) == len(f.segments)
}

var (
	refusedManifest = regexp.MustCompile(`^body\.segments\[([0-9]+)\]\.(match|name)$`)
	refusedPlace    = regexp.MustCompile(`^([0-9]+):([0-9]+): `)
)

// refused notes what the server says is wrong with manifests, and tells whether that is all that it says.
func (f *manifestFile) refused(err error) bool {
	var problem *serverError
	if !errors.As(err, &problem) || problem.Status != http.StatusUnprocessableEntity || len(problem.Errors) == 0 {
		return false
	}
	for _, e := range problem.Errors {
		found := refusedManifest.FindStringSubmatch(e.Location)
		if found == nil {
			return false
		}
		at, err := strconv.Atoi(found[1])
		if err != nil || at >= len(f.segments) {
			return false
		}
		s := f.segments[at]
		m := mistake{s.line, 1, "metadata.name: " + e.Message}
		if found[2] == "match" {
			m.line, m.column, m.message = s.match.Line, s.match.Column, "spec.match: "+e.Message
			if place := refusedPlace.FindStringSubmatch(e.Message); place != nil {
				line, _ := strconv.Atoi(place[1])
				column, _ := strconv.Atoi(place[2])
				m.line, m.column = s.place(line, column)
				m.message = "spec.match: " + strings.TrimPrefix(e.Message, place[0])
			}
		}
		f.mistakes = append(f.mistakes, m)
	}
	return true
}

// complaint lists everything that is wrong with a file, each once, in the order of the lines.
func (f *manifestFile) complaint() error {
	slices.SortStableFunc(f.mistakes, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column), cmp.Compare(a.message, b.message))
	})
	var lines []string
	for _, m := range slices.Compact(f.mistakes) {
		lines = append(lines, fmt.Sprintf("%s:%d:%d: %s", f.name, m.line, m.column, m.message))
	}
	return errors.New(strings.Join(lines, "\n"))
}

// tell says what a manifest would change.
func (d segmentDifference) tell(w io.Writer) error {
	fmt.Fprintf(w, "Segment %s", d.Name)
	switch {
	case d.Suspended:
		fmt.Fprint(w, ": spec.suspend keeps the membership as it is")
	case d.Unchanged:
		fmt.Fprint(w, ": unchanged, the definition is the one in force")
	case d.IsNew:
		fmt.Fprint(w, ": new")
	}
	fmt.Fprintf(w, "\n  members   %s now, %s then\n  enter     %s\n  leave     %s\n", orNone(d.Members), d.Then, d.Enter, d.Leave)
	if d.Stale {
		fmt.Fprintln(w, "  The membership in force is being brought up to date: what it has not caught up with is counted too.")
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, by := range d.By {
		fmt.Fprintf(table, "\n  by %s\tenter\tleave\n", by.Attribute)
		for _, v := range by.Values {
			name := v.Value
			if v.Which != "" {
				name = "(" + v.Which + ")"
			}
			fmt.Fprintf(table, "  %s\t%s\t%s\n", name, v.Enter, v.Leave)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(d.Omitted) > 0 {
		fmt.Fprintf(w, "\n  Not broken down, because they have too many values: %s.\n", strings.Join(d.Omitted, ", "))
	}
	if len(d.UsedBy.Segments) > 0 {
		fmt.Fprintf(w, "\n  Segments that ask for it follow: %s.\n", strings.Join(d.UsedBy.Segments, ", "))
	}
	if len(d.UsedBy.Campaigns) > 0 {
		fmt.Fprintf(w, "\n  Campaigns that use it: %s.\n", strings.Join(d.UsedBy.Campaigns, ", "))
	}
	return nil
}
