package server_test

import (
	"context"
	_ "embed"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/policy"
	"github.com/tertulia-crm/tertulia/internal/server/browsertest"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// inspectPage finds what keeps people from reading or using a page.
//
//go:embed testdata/inspect.js
var inspectPage string

// looks are the widths and colours in which pages are inspected: 320 pixels are the narrowest phone, and a desktop at 400 %.
var looks = []struct {
	name  string
	width int64
	dark  bool
}{{"phone", 320, false}, {"phone-dark", 320, true}, {"desktop", 1280, false}, {"desktop-dark", 1280, true}}

// inspect looks at the page that is shown in every way, and takes pictures.
func inspect(t *testing.T, page *browsertest.Page, name, language string) {
	t.Helper()
	for _, look := range looks {
		page.Look(look.width, look.dark)
		for _, trouble := range browsertest.Ask[[]string](page, inspectPage) {
			t.Errorf("%s, %s: %s", name, look.name, trouble)
		}
		page.Shoot(name + "-" + look.name)
	}
	if spoken := browsertest.Ask[string](page, "document.documentElement.lang"); spoken != language {
		t.Errorf("%s is said to be in %q, want %q", name, spoken, language)
	}
}

// focused is the text of what has the keyboard.
func focused(page *browsertest.Page) string {
	return browsertest.Ask[string](page, "document.activeElement === document.body ? '' : document.activeElement.textContent")
}

// wordyPolicy has labels that fit nowhere.
func (f *fixture) wordyPolicy() {
	f.t.Helper()
	both := func(es, en, said string) []store.PurposeLabel {
		return []store.PurposeLabel{{Locale: "es", Label: es, Description: said}, {Locale: "en", Label: en, Description: said}}
	}
	_, err := f.db.SaveConsentPolicy(context.Background(), store.ConsentPolicy{
		Name: "people", Template: "confirm", Channel: "mail", ValidFor: 7 * 24 * time.Hour,
		Purposes: []store.Purpose{
			{Name: "newsletter", Basis: policy.Consent, DoubleOptIn: true, TextVersion: "2", Labels: both("Boletín", "Newsletter", "Velo, 1 × 30 d.")},
			{Name: "offers", Basis: policy.Consent, Labels: both(strings.Repeat("Ofertas", 12), strings.Repeat("Offers", 12), strings.Repeat("x", 120))},
			{Name: "orders", Basis: policy.Contract, Labels: both("Tus pedidos", "Your orders", "")},
			{Name: "recalls", Basis: policy.LegalObligation, Labels: both("Retiradas", "Product recalls", "")},
		},
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// visitor is somebody who reads a language and has a keyboard.
type visitor struct {
	*fixture
	page     *browsertest.Page
	language string
	says     func(spanish, english string) string
}

// hasFocus goes on to the next thing, and checks which it is.
func (v visitor) hasFocus(want string) {
	v.t.Helper()
	if v.page.Tab(); !strings.HasPrefix(focused(v.page), want) {
		v.t.Fatalf("the keyboard comes to %q, want %q", focused(v.page), want)
	}
}

func (v visitor) inspect(name string) {
	v.t.Helper()
	inspect(v.t, v.page, v.language+"-"+name, v.language)
}

func (v visitor) wantHeading(want string) {
	v.t.Helper()
	if got := browsertest.Ask[string](v.page, "document.querySelector('h1').textContent"); !strings.HasPrefix(got, want) {
		v.t.Errorf("the page says %q, want %q", got, want)
	}
}

// TestPagesInABrowser goes through the pages by keyboard, in both languages, without a script, on a phone and on a desktop.
func TestPagesInABrowser(t *testing.T) {
	for at, language := range []string{"es", "en"} {
		t.Run(language, func(t *testing.T) {
			f := newFixture(t)
			f.wordyPolicy()
			link := f.base + "/u/" + f.mailed(language)
			v := visitor{fixture: f, page: browsertest.New(t), language: language, says: func(spanish, english string) string {
				return []string{spanish, english}[at]
			}}
			v.page.Open(link + "x")
			inspect(t, v.page, language+"-unknown", "en") // nobody knows whose it is: the browser's
			v.unsubscribes(link)
			v.chooses()
			v.confirms()
		})
	}
}

func (v visitor) unsubscribes(link string) {
	v.t.Helper()
	button, choose := v.says("Darme de baja", "Unsubscribe"), v.says("Elegir qué correos", "Choose which")
	v.page.Open(link)
	v.inspect("unsubscribe")
	v.hasFocus(button)
	v.inspect("unsubscribe-focused")
	v.hasFocus(choose)
	v.page.Open(link)
	v.hasFocus(button)
	v.page.Enter()
	v.inspect("unsubscribed")
	v.wantHeading(v.says("Hecho: ya no recibirás", "Done: you will not"))
	if diff := cmp.Diff(unsubscribed, v.rows(consentQuery)); diff != "" {
		v.t.Errorf("-want +got:\n%s", diff)
	}
	v.hasFocus(choose)
	v.page.Enter()
}

// chooses stops the second purpose on the page of preferences; the first one was stopped before.
func (v visitor) chooses() {
	v.t.Helper()
	v.inspect("preferences")
	v.hasFocus(v.says("Quiero recibirlo", "I want to receive it"))
	v.hasFocus(v.says("Dejar de recibirlo", "Stop receiving it"))
	v.page.Enter()
	v.inspect("preferences-changed")
	notice := browsertest.Ask[string](v.page, "document.querySelector('[role=status]').textContent")
	if !strings.HasPrefix(notice, v.says("OfertasOfertas", "OffersOffers")) || !strings.HasSuffix(notice, v.says("ya no lo recibirás.", "you will not receive it any more.")) {
		v.t.Errorf("the page of preferences says %q", notice)
	}
	if diff := cmp.Diff([]string{"newsletter", "offers"}, v.rows("select purpose from refusal order by purpose")); diff != "" {
		v.t.Errorf("-want +got:\n%s", diff)
	}
}

// confirms what was asked for, and then what was asked for meanwhile.
func (v visitor) confirms() {
	v.t.Helper()
	button := v.says("Sí, confirmo", "Yes, I confirm")
	v.page.Open(v.base + v.asked())
	v.inspect("confirm")
	v.exec(`insert into consent_request (policy, address_hash, contact_id, purposes, versions, source, expires_at, send_id)
		select policy, address_hash, contact_id, '{offers}', '{""}', source, expires_at, send_id from consent_request`)
	v.hasFocus(button)
	v.page.Enter()
	v.inspect("confirm-more")
	v.hasFocus(button)
	v.page.Enter()
	v.inspect("confirmed")
	v.wantHeading(v.says("Hecho: está confirmado", "Done: it is confirmed"))
	if left := v.rows("select purpose from refusal"); len(left) > 0 {
		v.t.Errorf("%v are still refused", left)
	}
	v.exec("update consent_request set expires_at = now() - interval '1 minute'")
	v.page.Open(v.base + v.confirmLink(1, 1, time.Now().Add(time.Hour)))
	v.inspect("expired")
}
