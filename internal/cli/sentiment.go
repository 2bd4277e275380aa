package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// NewSentimentCommand is `tertulia sentiment`: how the lines of the standard input speak.
func NewSentimentCommand() *cobra.Command {
	var language, output string
	cmd := &cobra.Command{
		Use: "sentiment [--lang es|en]", GroupID: "use", Short: "Judge posts, a line each: their label, polarity, confidence, and the words that decided",
		Long: "Reads posts from the standard input, a line each, and writes a line for each, in their order and at once: negative, neutral or\n" +
			"positive; the polarity, from -1 to 1; the confidence, from 0 to 1; and the words that decided, each with what it weighed. Of a line\n" +
			"over " + strconv.Itoa(sentiment.MaxText>>10) + " KiB the beginning is judged. No server is needed, and nothing is stored.\n" +
			"What judges the posts that a tenant's sources bring is told by: tertulia sentiment engines.",
		Example: "  echo 'Me encanta la bici, pero el pedido no llega' | tertulia sentiment --lang es\n  tertulia sentiment --output json <posts.txt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if language != "" && language != sentiment.Spanish && language != sentiment.English {
				return errors.New(`--lang must be "es" or "en"; without it each line's language is found out`)
			}
			engine, err := sentiment.NewLexicon()
			if err != nil {
				return err
			}
			j := lineJudge{engine: engine, language: language, output: output}
			return j.run(cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&language, "lang", "", `the posts' language, "es" or "en" (default: found out for each line)`)
	cmd.Flags().StringVarP(&output, "output", "o", outputText, `what standard output says: "text", or "json" for an object a line`)
	cmd.AddCommand(newSentimentEngines())
	return cmd
}

// judgedWord is a deciding word as JSON has it.
type judgedWord struct {
	Word    string   `json:"word"`
	Weight  float64  `json:"weight"`
	Because []string `json:"because,omitempty"`
}

// judgedLine is a line's verdict as JSON has it.
type judgedLine struct {
	Line       int             `json:"line"`
	Label      sentiment.Label `json:"label"`
	Polarity   float64         `json:"polarity"`
	Confidence float64         `json:"confidence"`
	Language   string          `json:"language"`
	Words      []judgedWord    `json:"words"`
	Ironic     bool            `json:"ironic,omitempty"`
	Cut        bool            `json:"cut,omitempty"`     // the line is longer than what was judged
	Invalid    bool            `json:"invalid,omitempty"` // the line has bytes that are no UTF-8
}

// lineJudge judges lines one after the other.
type lineJudge struct {
	engine           *sentiment.Lexicon
	language, output string
}

func (j *lineJudge) run(in io.Reader, out, warn io.Writer) error {
	reader, writer := bufio.NewReaderSize(in, 64<<10), bufio.NewWriter(out)
	for number := 1; ; number++ {
		line, cut, err := readBounded(reader, sentiment.MaxText)
		if errors.Is(err, io.EOF) {
			return writer.Flush()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("read line %d: %w", number, err), writer.Flush())
		}
		if err := j.judge(writer, warn, number, line, cut); err != nil {
			return fmt.Errorf("write the verdict on line %d: %w", number, err)
		}
		// Who asks line by line gets an answer before the next line.
		if reader.Buffered() == 0 {
			if err := writer.Flush(); err != nil {
				return fmt.Errorf("write the verdict on line %d: %w", number, err)
			}
		}
	}
}

// judge writes the verdict on a line. What is odd about the line is told on the standard error too.
func (j *lineJudge) judge(out, warn io.Writer, number int, line string, cut bool) error {
	v := j.engine.Of(sentiment.Post{Text: line, Language: j.language})
	invalid := !cut && !utf8.ValidString(line) // a cut may go through a character
	if cut {
		fmt.Fprintf(warn, "line %d: longer than %d bytes, only its beginning was judged\n", number, sentiment.MaxText)
	}
	if invalid {
		fmt.Fprintf(warn, "line %d: not all of it is UTF-8, the other bytes were passed over\n", number)
	}
	if j.output == outputJSON {
		words := make([]judgedWord, 0, len(v.Words))
		for _, w := range v.Words {
			words = append(words, judgedWord{w.Text, w.Weight, w.Because})
		}
		return printJSON(out, judgedLine{
			Line: number, Label: v.Label, Polarity: rounded(v.Polarity), Confidence: rounded(v.Confidence), Language: v.Language, Words: words,
			Ironic: v.Ironic, Cut: cut, Invalid: invalid,
		})
	}
	_, err := fmt.Fprintf(out, "%s\t%+.2f\t%.2f\t%s\n", v.Label, rounded(v.Polarity), v.Confidence, describeWords(v.Words))
	return err
}

// rounded keeps three digits, and no minus before a zero.
func rounded(x float64) float64 {
	parsed, err := strconv.ParseFloat(strconv.FormatFloat(x, 'f', 3, 64), 64)
	if err != nil || parsed == 0 {
		return 0
	}
	return parsed
}

// describeWords writes the deciding words for people: "encanta +3.90 (exclaimed), no llega -2.50". "-" stands for none.
func describeWords(words []sentiment.Word) string {
	if len(words) == 0 {
		return "-"
	}
	parts := make([]string, 0, len(words))
	for _, w := range words {
		part := fmt.Sprintf("%s %+.2f", w.Text, w.Weight)
		if len(w.Because) > 0 {
			part += " (" + strings.Join(w.Because, "; ") + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// readBounded reads a line without its end and keeps at most so many bytes of it. The last line needs no end.
func readBounded(r *bufio.Reader, most int) (line string, cut bool, err error) {
	var kept []byte
	read := false
	for {
		part, err := r.ReadSlice('\n')
		read = read || len(part) > 0
		room := most - len(kept)
		ended := err == nil
		if ended {
			part = part[:len(part)-1]
			if n := len(part); n > 0 && part[n-1] == '\r' {
				part = part[:n-1]
			}
		}
		if len(part) > room {
			part, cut = part[:room], true
		}
		kept = append(kept, part...)
		switch {
		case ended, errors.Is(err, io.EOF) && read:
			return string(kept), cut, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", false, err
		}
	}
}
