package sentiment_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

func newLexicon(t testing.TB) *sentiment.Lexicon {
	t.Helper()
	l, err := sentiment.NewLexicon()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestIdentifyTellsLanguagesApartAndSaysWhenItCannot(t *testing.T) {
	for text, want := range map[string]string{
		"La bici llegó ayer y estoy muy contento con ella":              "es",
		"Me encanta la bici, pero el pedido no llega":                   "es",
		"Llevo dos semanas esperando una respuesta":                     "es",
		"¿Alguien sabe cuándo abre la tienda de Sevilla?":               "es",
		"Che, no me anda la app desde ayer":                             "es",
		"The bike arrived yesterday and I am very happy with it":        "en",
		"I love the bike but the order never arrives":                   "en",
		"Still waiting for an answer from your support":                 "en",
		"does anyone know when the shop opens?":                         "en",
		"A bicicleta chegou ontem e estou muito contente com ela":       "pt",
		"Não recebi o meu pedido e ninguém me responde":                 "pt",
		"Le vélo est arrivé hier et je suis très content":               "fr",
		"Je n'ai pas encore reçu ma commande, c'est dommage":            "fr",
		"La bici è arrivata ieri e sono molto contento della scelta":    "it",
		"Non ho ancora ricevuto il mio ordine e nessuno mi risponde":    "it",
		"La bicicleta va arribar ahir i estic molt content amb ella":    "ca",
		"Das Fahrrad ist gestern angekommen und ich bin sehr zufrieden": "de",
		"De fiets is gisteren aangekomen en ik ben er heel blij mee":    "nl",
		"":                  sentiment.Unknown,
		"hola":              sentiment.Unknown,
		"ok":                sentiment.Unknown,
		"no no no no":       sentiment.Unknown,
		"Velo Sevilla 2027": sentiment.Unknown,
		"😍😍😍":               sentiment.Unknown,
		"自転車が昨日届きました。とても満足しています":                  sentiment.Unknown,
		"Велосипед пришёл вчера, я очень доволен": sentiment.Unknown,
		"asdf qwer zxcv uiop hjkl":                 sentiment.Unknown,
		"https://example.com/the-and-of @the @and": sentiment.Unknown,
	} {
		if got := newLexicon(t).Identify(text); got != want {
			t.Errorf("Identify(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestThePostsOwnTagGoesBeforeTheIdentifier(t *testing.T) {
	l := newLexicon(t)
	for tag, want := range map[string]string{
		"es": "es", "es-MX": "es", "ES_ar": "es", "spa": "es", "en-GB": "en", "eng": "en", "pt-BR": "pt",
		// These say nothing: the words decide.
		"": "es", "und": "es", "zxx": "es", "x": "es", "español": "es", strings.Repeat("e", 1000): "es",
	} {
		v := l.Of(sentiment.Post{Text: "La bici llegó ayer y estoy muy contento con ella", Language: tag})
		if diff := cmp.Diff(want, v.Language); diff != "" {
			t.Errorf("language of the tag %.20q (-want +got):\n%s", tag, diff)
		}
	}
}
