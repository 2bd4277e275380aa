package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/segment"
)

// writePlans writes a file for each kind of segments with their statements, those written by hand, and how PostgreSQL answers both.
func (b *segmentBench) writePlans(ctx context.Context, builds []firstBuild) error {
	if err := os.MkdirAll(b.Plans, 0o750); err != nil {
		return fmt.Errorf("make the folder of plans: %w", err)
	}
	for _, kind := range segmentKinds {
		var text strings.Builder
		fmt.Fprintf(&text, "# Segments of the benchmark: %s\n\nWritten by `make bench BENCH=segment` with `--plans`: what README.md beside this says.\n", kind)
		for _, f := range builds {
			if f.kind != kind {
				continue
			}
			section, err := b.plan(ctx, f)
			if err != nil {
				return fmt.Errorf("plan segment %s: %w", f.name, err)
			}
			text.WriteString(section)
		}
		if err := os.WriteFile(filepath.Join(b.Plans, kind+".md"), []byte(text.String()), 0o600); err != nil {
			return fmt.Errorf("write the plans: %w", err)
		}
	}
	return nil
}

func (b *segmentBench) plan(ctx context.Context, f firstBuild) (string, error) {
	compiled, err := expr.Compile(segmentSchema, f.match)
	if err != nil {
		return "", err
	}
	question := "select c.id from contact c where (" + compiled.Predicate + ")"
	arguments := make([]any, len(compiled.Arguments))
	for i, a := range compiled.Arguments {
		arguments[i] = a
	}
	settings := segment.Evaluation{}.Everyone(segment.Data).Settings
	ours, err := b.explain(ctx, settings, question, arguments)
	if err != nil {
		return "", err
	}
	hand, err := b.explain(ctx, "select", f.byHand, nil)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "\n## %s\n\n```cel\n%s\n```\n\n", f.name, f.match)
	fmt.Fprintf(&text, "%d members; ours took %.2f s, the one written by hand %.2f s: %.2f of it.\n\n",
		f.members, f.ours.Seconds(), f.hand.Seconds(), f.factor())
	fmt.Fprintf(&text, "```sql\n%s;\n```\n\nArguments: %s\n\n```\n%s\n```\n\n", question, argumentList(compiled.Arguments), ours)
	fmt.Fprintf(&text, "By hand:\n\n```sql\n%s;\n```\n\n```\n%s\n```\n", f.byHand, hand)
	return text.String(), nil
}

func argumentList(arguments []string) string {
	if len(arguments) == 0 {
		return "none."
	}
	quoted := make([]string, len(arguments))
	for i, a := range arguments {
		quoted[i] = "`" + a + "`"
	}
	return strings.Join(quoted, ", ") + "."
}

// longestLine is what is shown of a plan's line: a function that folds case names thousands of letters.
const longestLine = 400

// explain asks how PostgreSQL answers a question.
func (b *segmentBench) explain(ctx context.Context, settings, question string, arguments []any) (string, error) {
	var lines []string
	err := b.InTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, settings); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "explain (costs off) "+question, append([]any{pgx.QueryExecModeDescribeExec}, arguments...)...)
		if err != nil {
			return err
		}
		lines, err = pgx.CollectRows(rows, pgx.RowTo[string])
		for i, line := range lines {
			if len(line) > longestLine {
				lines[i] = strings.ToValidUTF8(line[:longestLine], "") + " …"
			}
		}
		return err
	})
	return strings.Join(lines, "\n"), err
}
