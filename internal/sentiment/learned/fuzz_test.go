package learned_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
	"github.com/tertulia-crm/tertulia/internal/sentiment/learned"
)

// blob is a model as it is stored, with any numbers, and a right checksum.
func blob(trust, scale float32, weights []byte) []byte {
	b := []byte("TSM1")
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(trust))
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(scale))
	if len(weights) == 0 {
		weights = []byte{0}
	}
	for len(b) < learned.Size-4 {
		b = append(b, weights[:min(len(weights), learned.Size-4-len(b))]...)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func TestWhatIsNoModelIsRefused(t *testing.T) {
	whole := blob(1, 0.001, []byte{1, 2, 3})
	if _, err := learned.Decode(whole); err != nil {
		t.Fatalf("one that is right: %v", err)
	}
	torn := bytes.Clone(whole)
	torn[5000] ^= 1
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		blob []byte
		says string
	}{
		"nothing":            {nil, "TSM1"},
		"another version":    {append([]byte("TSM2"), whole[4:]...), "TSM1"},
		"cut":                {whole[:len(whole)-1], "bytes instead of"},
		"longer":             {append(bytes.Clone(whole), 0), "bytes instead of"},
		"one bit":            {torn, "checksum"},
		"trust is no number": {blob(nan, 1e-3, nil), "out of bounds"},
		"trust below":        {blob(-1, 1e-3, nil), "out of bounds"},
		"scale is infinite":  {blob(1, float32(math.Inf(1)), nil), "out of bounds"},
		"scale too large":    {blob(1, 1, nil), "out of bounds"},
		"scale no number":    {blob(1, nan, nil), "out of bounds"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := learned.Decode(c.blob); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error with %q", err, c.says)
			}
		})
	}
}

// FuzzDecode: a blob is refused, or it is a model that judges within bounds and is written as it was read.
func FuzzDecode(f *testing.F) {
	f.Add(float32(1), float32(0.001), []byte{1, 2, 3}, []byte("TSM1"), "La tabla es una bestia 🛹")
	f.Add(float32(50), float32(50.0/32767), []byte{0xff, 0x7f, 0, 0x80, 0, 0}, []byte{}, "no no no it slaps :)")
	l := newLexicon(f)
	f.Fuzz(func(t *testing.T, trust, scale float32, weights, raw []byte, text string) {
		if m, err := learned.Decode(raw); (m == nil) == (err == nil) {
			t.Errorf("%v, %v", m, err)
		}
		whole := blob(trust, scale, weights)
		m, err := learned.Decode(whole)
		if err != nil {
			return
		}
		if again, err := m.MarshalBinary(); err != nil || !bytes.Equal(again, whole) {
			t.Errorf("it is written as something else: %v", err)
		}
		engine := learned.New(l, map[string]*learned.Model{sentiment.Spanish: m})
		checkVerdict(t, engine.Of(sentiment.Post{Text: text, Language: sentiment.Spanish}), text)
	})
}

func BenchmarkJudge(b *testing.B) {
	h := houses["skaters in Spanish"]
	m, _ := try(b, h.language, h.corrections(300, 1), nil)
	engine := learned.New(newLexicon(b), map[string]*learned.Model{h.language: m})
	const text = "Llevo tres días con la tabla nueva y la verdad es que va que mata, aunque el eje ya cruje un poco y no contestan los correos 🛹"
	for b.Loop() {
		engine.Of(sentiment.Post{Text: text, Language: h.language})
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
}

func BenchmarkTry(b *testing.B) {
	h, l := houses["skaters in Spanish"], newLexicon(b)
	corrections := h.corrections(learned.Most, 1)
	for b.Loop() {
		if _, _, err := learned.Try(b.Context(), l, h.language, corrections, nil); err != nil {
			b.Fatal(err)
		}
	}
}
