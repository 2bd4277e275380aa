// Package browsertest gives tests a real browser, Chromium without a window, in which scripts of pages do not run.
package browsertest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// ErrNotInstalled is what Find returns where there is no Chromium.
var ErrNotInstalled = errors.New("there is no Chromium on this machine: install one (on Debian: apt-get install chromium)")

// Find looks for Chromium, under the names that it goes by.
func Find() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNotInstalled
}

// screenshots names the folder that Shoot writes to; without it nothing is written.
const screenshots = "TERTULIA_SCREENSHOTS"

// timeout bounds what a test does with one browser, also on a machine that is busy.
const timeout = 5 * time.Minute

// Page is a browser with one page.
type Page struct {
	t   testing.TB
	ctx context.Context
}

// New starts a browser that ends with the test, and fails the test where it cannot.
func New(t testing.TB) *Page {
	t.Helper()
	program, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	// Its folder is chromedp's, not the test's: processes of the browser's write there for some moments after it has ended, which chromedp outlasts.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has none for root, and shows nothing but our own pages here
	}
	ctx, end := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(end)
	ctx, leave := chromedp.NewContext(ctx)
	t.Cleanup(leave)
	p := &Page{t: t, ctx: ctx}
	p.check(chromedp.Do(ctx)) // starts it: its life is that of this call's context
	limited, cancel := context.WithTimeout(ctx, timeout)
	t.Cleanup(cancel)
	p.ctx = limited
	call(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	return p
}

func (p *Page) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("the browser: %v", err)
	}
}

// call sends a command of Chromium's protocol.
func call[P, R any](p *Page, command cdp.Command[P, R], params P) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, command, params)
	p.check(err)
}

// Open goes to an address and waits until it is shown.
func (p *Page) Open(address string) {
	p.t.Helper()
	p.check(chromedp.Do(p.ctx, chromedp.Navigate(address)))
}

// Look makes the window so wide, in CSS pixels, and its colours light or dark.
func (p *Page) Look(width int64, dark bool) {
	p.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.check(chromedp.Do(p.ctx, chromedp.EmulateViewport(width, 640)))
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// Tab presses the key that goes on to the next thing.
func (p *Page) Tab() {
	p.t.Helper()
	p.check(chromedp.Do(p.ctx, chromedp.KeyEvent(kb.Tab)))
}

// Enter presses the key, and waits until the page that it leads to is shown.
func (p *Page) Enter() {
	p.t.Helper()
	_, err := chromedp.RunResponse(p.ctx, chromedp.KeyEvent(kb.Enter))
	p.check(err)
}

// Ask has the browser evaluate an expression about the page.
func Ask[T any](p *Page, expression string) T {
	p.t.Helper()
	answer, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	p.check(err)
	return answer
}

// Shoot writes what the page looks like into the folder that TERTULIA_SCREENSHOTS names.
func (p *Page) Shoot(name string) {
	p.t.Helper()
	dir := os.Getenv(screenshots)
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	p.check(err)
	p.check(os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600))
}
