// Command eval measures how well posts are judged: it reads labelled posts from a folder, judges them with the engine that is
// built in, and prints for each file macro-F1, a confusion table, how far the confidence can be trusted, and how often the
// language was found out. With --learn it shows too what learning from one split's posts as if they were corrections gains on another. Nothing of what it
// reads is kept.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// languages are the names of files' languages, and their codes.
var languages = []struct{ name, code string }{{"spanish", sentiment.Spanish}, {"english", sentiment.English}}

func main() {
	data := flag.String("data", "", "folder with LANGUAGE_SPLIT_text.txt, a post a line, and LANGUAGE_SPLIT_labels.txt: 0 negative, 1 neutral, 2 positive")
	splits := flag.String("splits", "train,val", "which splits are judged, between commas; while words are changed, leave out the one that checks")
	wrong := flag.Int("wrong", 0, "print so many posts of each file that were judged wrongly, to look at")
	learn := flag.String("learn", "", "learn from one split as if its posts were corrections, and judge another by that: train,val")
	flag.Parse()
	err := run(os.Stdout, *data, strings.Split(*splits, ","), *wrong)
	if from, of, ok := strings.Cut(*learn, ","); err == nil && *learn != "" {
		if err = errors.New("--learn names two splits, such as train,val"); ok {
			err = runLearned(os.Stdout, *data, from, of)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "eval:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, dir string, splits []string, wrong int) error {
	if dir == "" {
		return errors.New("say where labelled posts are: make eval DATA=DIR")
	}
	engine, err := sentiment.NewLexicon()
	if err != nil {
		return err
	}
	for _, language := range languages {
		for _, split := range splits {
			name := language.name + "_" + split
			posts, err := readPosts(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			t := judge(engine, engine, language.code, posts)
			t.print(out, name)
			t.printWrong(out, wrong)
		}
	}
	return nil
}

// labelled is a post and what people said of it.
type labelled struct {
	text  string
	label int // an index of sentiment.Labels
}

// longestLine is the most bytes of a line that are read: much more than any post of such a file has.
const longestLine = 1 << 20

func readPosts(prefix string) ([]labelled, error) {
	texts, err := readLines(prefix + "_text.txt")
	if err != nil {
		return nil, err
	}
	labels, err := readLines(prefix + "_labels.txt")
	if err != nil {
		return nil, err
	}
	if len(texts) != len(labels) {
		return nil, fmt.Errorf("%s has %d posts and %d labels", prefix, len(texts), len(labels))
	}
	posts := make([]labelled, len(texts))
	for i, text := range texts {
		label := strings.Index("012", strings.TrimSpace(labels[i]))
		if label < 0 || len(strings.TrimSpace(labels[i])) != 1 {
			return nil, fmt.Errorf("%s_labels.txt:%d: a label is 0, 1 or 2", prefix, i+1)
		}
		posts[i] = labelled{text: unescape(text), label: label}
	}
	return posts, nil
}

func readLines(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read labelled posts: %w", err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, longestLine)
	var all []string
	for lines.Scan() {
		all = append(all, lines.Text())
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return all, nil
}

// unescape undoes what the files' makers did to characters that are no ASCII.
var unescape = strings.NewReplacer(`\u2019`, "’", `\u002c`, ",", `\u2018`, "‘", `\u201c`, "“", `\u201d`, "”", `""`, `"`).Replace
