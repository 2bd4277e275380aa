package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// narrator tells what happens and how long it takes.
type narrator struct {
	out      io.Writer
	terminal bool
	began    time.Time
	scene    time.Time // when the current scene began
}

func newNarrator(out *os.File) *narrator {
	return &narrator{out: out, terminal: term.IsTerminal(int(out.Fd())), began: time.Now()}
}

// say prints a line.
func (n *narrator) say(format string, args ...any) { fmt.Fprintf(n.out, format+"\n", args...) }

// begin announces a scene.
func (n *narrator) begin(format string, args ...any) {
	n.scene = time.Now()
	fmt.Fprintf(n.out, "• "+format+" …\n", args...)
}

// done closes a scene with what came of it and how long it took.
func (n *narrator) done(format string, args ...any) {
	fmt.Fprintf(n.out, "  "+format+"  (%s)\n", append(args, seconds(time.Since(n.scene)))...)
}

// elapsed is how long the whole play has taken.
func (n *narrator) elapsed() string { return seconds(time.Since(n.began)) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// bar shows progress where somebody watches. In a log it would be noise.
func (n *narrator) bar(total int64, what string) *progressbar.ProgressBar {
	out := n.out
	if !n.terminal {
		out = io.Discard
	}
	return progressbar.NewOptions64(total, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("  "+what),
		progressbar.OptionShowCount(), progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
}

// thousands writes a number as people read it.
func thousands(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
