package main

import (
	"fmt"
	"io"
	"time"
)

// narrator tells what happens, each line with the time since the start, so that a reader sees what takes long.
type narrator struct {
	out   io.Writer
	began time.Time
	scene time.Time // when the current one began
}

func newNarrator(out io.Writer) *narrator {
	return &narrator{out: out, began: time.Now(), scene: time.Now()}
}

// say prints lines as they are.
func (n *narrator) say(format string, args ...any) { fmt.Fprintf(n.out, format+"\n", args...) }

// begin announces a scene.
func (n *narrator) begin(format string, args ...any) {
	n.scene = time.Now()
	fmt.Fprintf(n.out, "%s • %s …\n", n.clock(), fmt.Sprintf(format, args...))
}

// note tells of a step within a scene.
func (n *narrator) note(format string, args ...any) {
	fmt.Fprintf(n.out, "%s   %s\n", n.clock(), fmt.Sprintf(format, args...))
}

// done closes a scene with what came of it and how long it took.
func (n *narrator) done(format string, args ...any) {
	n.note("%s (%.1f s)", fmt.Sprintf(format, args...), time.Since(n.scene).Seconds())
}

func (n *narrator) elapsed() time.Duration { return time.Since(n.began) }

func (n *narrator) clock() string {
	d := n.elapsed()
	return fmt.Sprintf("%3d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}
