package support

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestArchiveNamesWhatDoesNotFit(t *testing.T) {
	var out bytes.Buffer
	a := newArchive(&out, 40, time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC))
	for name, lines := range map[string]string{"large.log": strings.Repeat("a line\n", 100)} {
		if err := a.text(name, []byte(lines)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.document("small.yaml", map[string]any{"to": "ana@mail.example", "rows": int64(12345678901)}); err != nil {
		t.Fatal(err)
	}
	if err := a.close(manifest{TooLarge: a.tooLarge}); err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"tooLarge:\n- large.log", "rows: 12345678901\nto: '[address]'"} {
		if !strings.Contains(string(content), want) {
			t.Errorf("the archive does not hold %q:\n%s", want, content)
		}
	}
	if strings.Contains(string(content), "a line") {
		t.Error("what does not fit is in it")
	}
}

func TestPathStaysWithinTheBundle(t *testing.T) {
	for want, names := range map[string][]string{
		"logs/velo/pod/worker.log": {"logs", "velo", "pod", "worker.log"},
		"logs/__etc_passwd/x":      {"logs", "../etc/passwd", "x"},
		"logs/_/x":                 {"logs", "", "x"},
		"logs/[address]/x":         {"logs", "ana@mail.example", "x"},
	} {
		if diff := cmp.Diff(want, path(names...)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestMaskLiterals(t *testing.T) {
	for expression, want := range map[string]string{
		`contact.plan == "club"`:                                `contact.plan == "[4 letters]"`,
		`contact.city in ['Oviedo', "Gij\"ón"]`:                 `contact.city in ["[6 letters]", "[7 letters]"]`,
		`events("purchase").within("90d").count() == 0`:         `events("purchase").within("90d").count() == 0`,
		`events("purchase").where(e, e.sku == "x").count() > 0`: `events("purchase").where(e, e.sku == "[1 letters]").count() > 0`,
		`contact.birthday < date('2000-01-01')`:                 `contact.birthday < date('2000-01-01')`,
	} {
		if masked, _ := maskLiterals(expression); masked != want {
			t.Errorf("%s became %s, want %s", expression, masked, want)
		}
	}
}
