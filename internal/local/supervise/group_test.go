package supervise

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestGroup(t *testing.T) {
	g := NewWithT(t)
	ctx, folder := t.Context(), t.TempDir()
	var group Group
	command := shell(folder, "child", "exec sleep 600")

	g.Expect(group.Run(ctx, command, time.Second, func(context.Context) error { return nil })).To(Succeed())
	first := readPID(t, filepath.Join(folder, "child.pid"))
	g.Expect(group.Runs("child")).To(BeTrue())
	g.Expect(group.Run(ctx, command, time.Second, nil)).To(MatchError("child runs already"))
	g.Expect(first.alive()).To(BeTrue(), "the one that runs is not disturbed")

	g.Expect(group.Stop(ctx, "stranger", "child")).To(Succeed())
	g.Expect(first.alive()).To(BeFalse())
	g.Expect(group.Runs("child")).To(BeFalse())

	t.Log("a program that is not ready in time is ended, and its name is free")
	notYet := errors.New("not yet")
	g.Expect(group.Run(ctx, command, 50*time.Millisecond, func(context.Context) error { return notYet })).To(MatchError(notYet))
	g.Expect(group.Runs("child")).To(BeFalse())
	g.Expect(group.Run(ctx, command, time.Second, nil)).To(Succeed())
	g.Expect(group.Stop(ctx, "child")).To(Succeed())
}
