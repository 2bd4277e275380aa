package mailbox_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/mailbox"
)

var received = time.Date(2026, 11, 2, 9, 31, 0, 0, time.UTC)

// mail joins lines as mails have them.
func mail(lines ...string) []byte { return []byte(strings.Join(lines, "\r\n") + "\r\n") }

const head = "From: Ana García <Ana@Velo.example>\r\nDate: Mon, 02 Nov 2026 10:30:00 +0100\r\nMessage-ID: <1@velo.example>"

func TestPost(t *testing.T) {
	post := func(change func(*listen.Post)) listen.Post {
		p := listen.Post{
			ID: "1@velo.example", Kind: listen.Message, Visibility: listen.Private, CreatedAt: received.Add(-time.Minute),
			Author: listen.Account{
				ID: "ana@velo.example", Handle: "ana@velo.example", Name: "Ana García", Identifier: listen.Identifier{Type: "email", Value: "ana@velo.example"},
			},
		}
		change(&p)
		return p
	}
	cases := map[string]struct {
		raw  []byte
		want listen.Post
	}{
		"Plain": {
			mail(head, "Subject: =?utf-8?q?Mi_bici_y_t=C3=BA?=", "", "Hola:", "", "La cadena salta.", "-- ", "Ana", "600 000 000"),
			post(func(p *listen.Post) { p.Title, p.Text = "Mi bici y tú", "Hola:\n\nLa cadena salta." }),
		},
		"Answer": {
			mail(head, "Subject: Re: Mi bici", "In-Reply-To: <b@x.example>", "References: <a@x.example>", " <b@x.example>", "",
				"Sí, mañana.", "", "El 1 nov 2026, a las 9:00, Tienda Velo", "<care@velo.example> escribió:", "> ¿Cuándo viene?", ">> antes", "",
				"> ¿Y la factura?", "Aquí va."),
			post(func(p *listen.Post) {
				p.Title, p.Text, p.Thread, p.Parent = "Re: Mi bici", "Sí, mañana.\n\n\nAquí va.", "a@x.example", "b@x.example"
			}),
		},
		"AnswerWithoutReferences": {
			mail(head, "In-Reply-To: <b@x.example>", "", "Sí."),
			post(func(p *listen.Post) { p.Text, p.Thread, p.Parent = "Sí.", "b@x.example", "b@x.example" }),
		},
		"Outlook": {
			mail(head, "References: <a@x.example> <b@x.example>", "", "Gracias.", "", "De: Tienda <care@velo.example>", "Enviado: lunes", "Para: Ana", "Asunto: Bici", "", "Texto"),
			post(func(p *listen.Post) { p.Text, p.Thread, p.Parent = "Gracias.", "a@x.example", "b@x.example" }),
		},
		"Alternative": {
			mail(head, "MIME-Version: 1.0", `Content-Type: multipart/alternative; boundary="b"`, "", "--b", "Content-Type: text/html", "", "<p>HTML</p>", "--b",
				"Content-Type: text/plain; charset=iso-8859-1", "Content-Transfer-Encoding: quoted-printable", "", "Ma=F1ana=", " s=ED", "--b--"),
			post(func(p *listen.Post) { p.Text = "Mañana sí" }),
		},
		"HTML": {
			mail(head, "In-Reply-To: <b@x.example>", "Content-Type: text/html; charset=utf-8", "",
				`<html><style>p{}</style><p>Hola&nbsp;<b>Velo</b></p><div class="gmail_quote gmail_x"><div>El lunes escribió:</div><div>viejo</div></div><p>y adiós</p>`+
					`<blockquote type="cite">viejo</blockquote></html>`),
			post(func(p *listen.Post) {
				p.Text, p.Thread, p.Parent = "Hola Velo\n\ny adiós", "b@x.example", "b@x.example"
			}),
		},
		"HTMLRest": {
			mail(head, "Content-Type: text/html", "", `<p>Nuevo</p><hr><div id="divRplyFwdMsg"><b>From:</b></div><div>viejo</div>`),
			post(func(p *listen.Post) { p.Text = "Nuevo" }),
		},
		"QuoteOnly": {
			mail(head, "In-Reply-To: <b@x.example>", "", "> solo lo vuestro"),
			post(func(p *listen.Post) { p.Text, p.Thread, p.Parent = "> solo lo vuestro", "b@x.example", "b@x.example" }),
		},
		"QuoteInNoAnswer": {mail(head, "", "Decís:", "> Envío gratis", "¿De verdad?"), post(func(p *listen.Post) { p.Text = "Decís:\n> Envío gratis\n¿De verdad?" })},
		"Attachments": {
			mail(head, `Content-Type: multipart/mixed; boundary="b"`, "", "--b", "Content-Type: text/plain", "", "Mira", "--b", "Content-Type: image/jpeg",
				"Content-Transfer-Encoding: base64", "", "AAAA", "--b", "Content-Type: image/jpeg", "", "x", "--b", `Content-Type: text/plain; name="secret-name.txt"`,
				`Content-Disposition: attachment; filename="secret-name.txt"`, "", "adjunto", "--b", "Content-Type: <script>/x", "", "y", "--b--"),
			post(func(p *listen.Post) {
				p.Text = "Mira\n\n[1 × application/octet-stream, 2 × image/jpeg, 1 × text/plain]"
			}),
		},
		"Flowed": {
			mail(head, "Content-Type: text/plain; format=flowed", "", "Una frase ", "en dos líneas.", "Y otra.", "-- ", "Ana"),
			post(func(p *listen.Post) { p.Text = "Una frase en dos líneas.\nY otra." }),
		},
		"UnknownCharset": {
			mail(head, "Content-Type: text/plain; charset=x-velo", "", "Hola\xff"),
			post(func(p *listen.Post) { p.Text = "Hola\uFFFD" }),
		},
		"Japanese": {
			[]byte(head + "\r\nSubject: =?iso-2022-jp?B?GyRCPCtFPjxWGyhC?=\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$B<+E><V\x1b(B\r\n"),
			post(func(p *listen.Post) { p.Title, p.Text = "自転車", "自転車" }),
		},
		"FromTheFuture": {
			mail("From: ana@velo.example", "Date: Mon, 02 Nov 2099 10:30:00 +0100", "Message-ID: <1@velo.example>", "", "x"),
			post(func(p *listen.Post) { p.Author.Name, p.CreatedAt, p.Text = "", received, "x" }),
		},
		"Nobody": {
			mail("From: undisclosed", "Message-ID: <1@velo.example>", "", "x"),
			post(func(p *listen.Post) { p.Author, p.CreatedAt, p.Text = listen.Account{}, received, "x" }),
		},
		"GroupMail": { // a team's mail, by way of a group to which anybody may write
			mail(head, "List-Id: <care.velo.example>", "Precedence: list", "List-Post: <mailto:care@velo.example>", "", "x"),
			post(func(p *listen.Post) { p.Text = "x" }),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, refused := mailbox.ReadMail(t, "care@shop.example", tc.raw, received)
			if diff := cmp.Diff(tc.want, got); diff != "" || refused != "" {
				t.Errorf("refused %q (-want +got):\n%s", refused, diff)
			}
		})
	}
}

func TestLeftOut(t *testing.T) {
	for name, lines := range map[string][]string{
		"it cannot be read as a mail": {"no mail at all"},
		"a program wrote it":          {head, "Auto-Submitted: auto-replied (vacation)", "", "x"},
		"it went to a list of people": {head, "List-Unsubscribe: <https://velo.example/u>", "", "x"},
		"the mailbox itself wrote it": {"From: Care <CARE@shop.example>", "", "x"},
	} {
		if _, refused := mailbox.ReadMail(t, "care@shop.example", mail(lines...), received); refused != name {
			t.Errorf("%s: %q", name, refused)
		}
	}
	for _, field := range []string{
		"Auto-Submitted: auto-generated", "X-Autoreply: yes", "Precedence: bulk", "Precedence: junk", "Return-Path: <>", "Precedence: list",
		"Content-Type: multipart/report; boundary=b", "List-Id: <news.velo.example>\r\nList-Post: NO (announcements)",
	} {
		if _, refused := mailbox.ReadMail(t, "", mail(head, field, "", "x"), received); refused == "" {
			t.Errorf("%s: it is taken", field)
		}
	}
	if _, refused := mailbox.ReadMail(t, "", mail(head, "Auto-Submitted: no", "", "x"), received); refused != "" {
		t.Errorf("it says that a person wrote it: %q", refused)
	}
}

// TestID: a mail is the same wherever it is moved, also where it has no Message-ID.
func TestID(t *testing.T) {
	id := func(lines ...string) string {
		t.Helper()
		p, refused := mailbox.ReadMail(t, "", mail(lines...), received)
		if refused != "" {
			t.Fatal(refused)
		}
		return p.ID
	}
	without := id("From: ana@velo.example", "", "x")
	if again := id("From: ana@velo.example", "", "x"); again != without || !strings.HasPrefix(without, "sha256:") {
		t.Errorf("%q, then %q", without, again)
	}
	if other := id("From: ana@velo.example", "", "y"); other == without {
		t.Error("two mails have one id")
	}
	for field, want := range map[string]string{
		"Message-ID: <a@b.example> (comment)":               "a@b.example",
		"Message-ID: a@b.example":                           "sha256:",
		"Message-ID: <a b@c>":                               "sha256:",
		"Message-ID: <" + strings.Repeat("x", 2000) + "@b>": "sha256:",
	} {
		if got := id("From: ana@velo.example", field, "", "x"); !strings.HasPrefix(got, want) || len(got) > listen.MaxID {
			t.Errorf("%.40s: %q", field, got)
		}
	}
	// A long id is the same where an answer names it.
	long := "<" + strings.Repeat("x", 2000) + "@b>"
	first := id("From: ana@velo.example", "Message-ID: "+long, "", "x")
	answer, _ := mailbox.ReadMail(t, "", mail("From: ana@velo.example", "In-Reply-To: "+long, "", "x"), received)
	if answer.Parent != first {
		t.Errorf("an answer to %q names %q", first, answer.Parent)
	}
}

// TestHostileMails: what a mail costs is bounded whatever it is made of.
func TestHostileMails(t *testing.T) {
	nested := func(depth int) string {
		var b strings.Builder
		b.WriteString(head + "\r\n")
		for i := range depth {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		}
		return b.String() + "\r\nend"
	}
	cases := map[string]string{
		"Nested":     nested(15_000),
		"Parts":      head + "\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 90_000),
		"Types":      head + "\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\nContent-Type: a/b\r\n\r\nx\r\n", 20_000),
		"References": head + "\r\nReferences: " + strings.Repeat("<a@b> ", 40_000) + "\r\n\r\nx",
		"Brackets":   head + "\r\nReferences: " + strings.Repeat("<", 200_000) + "\r\n\r\nx",
		"Header":     head + "\r\n" + strings.Repeat("X: y\r\n", 40_000) + "\r\nx",
		"LongHeader": head + "\r\nSubject: " + strings.Repeat("x", 1<<20) + "\r\n\r\nx",
		"Quotes":     head + "\r\nIn-Reply-To: <a@b>\r\n\r\n" + strings.Repeat("On 1 Ana wrote:\r\n> x\r\n", 40_000),
		"Blanks":     head + "\r\nIn-Reply-To: <a@b>\r\n\r\n" + strings.Repeat("\n\n>\n", 200_000),
		"Colons":     head + "\r\nIn-Reply-To: <a@b>\r\n\r\n" + strings.Repeat("From: x\r\n", 100_000),
		"Tags":       head + "\r\nContent-Type: text/html\r\n\r\n" + strings.Repeat("<blockquote type=cite>", 40_000),
		"Words":      head + "\r\nSubject: " + strings.Repeat("=?utf-8?q?x?= ", 10_000) + "\r\n\r\nx",
		"Base64":     head + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("velo ", 150_000)))[:900_001],
		"Cut":        head + "\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nVelo",
		"Empty":      "",
		"Nul":        head + "\r\nSubject: a\x00b\r\n\r\n\x00\x01\x02",
		"NoBoundary": head + "\r\nContent-Type: multipart/mixed\r\n\r\nx",
		"Encoding":   head + "\r\nContent-Transfer-Encoding: x-velo\r\n\r\nx",
		"Addresses":  "From: " + strings.Repeat("a@b.example, ", 15_000) + "\r\n\r\nx",
	}
	for name, raw := range cases {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			p, refused := mailbox.ReadMail(t, "", []byte(raw), received)
			if took := time.Since(began); took > 10*time.Second { // of a machine that does much else, under the race detector
				t.Errorf("it takes %s", took)
			}
			if len(p.Text) > listen.MaxText || refused == "" && p.ID == "" {
				t.Errorf("%d bytes of text, id %q", len(p.Text), p.ID)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	deep := head
	for i := range 12 {
		deep += fmt.Sprintf("\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d", i, i)
	}
	for raw, want := range map[string]string{
		deep + "\r\n\r\ntoo deep\r\n": "",
		head + "\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\nContent-Type: a/b\r\n\r\nx\r\n", 100): "[64 × a/b]",
	} {
		if p, _ := mailbox.ReadMail(t, "", []byte(raw), received); p.Text != want {
			t.Errorf("%q, want %q", p.Text, want)
		}
	}
}

func TestOwnWords(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"Gmail":       {"Yes.\n\nOn Mon, 2 Nov 2026 at 10:00, Care <care@velo.example>\nwrote:\n\n> old\n> more", "Yes."},
		"French":      {"Oui.\nLe lun. 2 nov. 2026 à 10:00, Care a écrit :\n> vieux", "Oui."},
		"German":      {"Ja.\nAm 02.11.2026 um 10:00 schrieb Care:\n> alt", "Ja."},
		"Original":    {"Sí.\n-----Mensaje original-----\nDe: x\nviejo", "Sí."},
		"Rest":        {"Sí.\n\n> ¿cuándo?\nMañana.\n> ¿dónde?\nAquí.", "Sí.\n\nMañana.\nAquí."},
		"NoQuote":     {"Me escribió:\nque no", "Me escribió:\nque no"},
		"From":        {"De: aquí a allí\nhay un paso", "De: aquí a allí\nhay un paso"},
		"Colon":       {"Esto quiero:\n> vuestro texto\nNada más", "Esto quiero:\nNada más"},
		"Signature":   {"Hola\n--\nAna", "Hola"},
		"OnlySigned":  {"-- \nAna", "-- \nAna"},
		"WindowsEnds": {"Hola\r\n-- \r\nAna", "Hola"},
	}
	for name, tc := range cases {
		if got := mailbox.OwnWords(tc.text, true); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// TestAnswersThatAreBuiltToTakeLong: what is looked at for each line that is quoted is looked at once for a quote, and not for ever.
func TestAnswersThatAreBuiltToTakeLong(t *testing.T) {
	announced := strings.Repeat("wrote 1@x ", 10) + strings.Repeat("x", 85) + ":" // looks like it, three lines long
	for name, text := range map[string]string{
		"one quote":   announced + "\n" + announced + "\n" + announced + strings.Repeat("\n>", 1<<19),
		"many quotes": strings.Repeat("wrote 1@x x:\n>\n", 1<<16),
	} {
		began := time.Now()
		mailbox.OwnWords(text, true)
		if took := time.Since(began); took > time.Minute { // of a machine that does much else, under the race detector
			t.Errorf("%s: it took %s", name, took)
		}
	}
}

func FuzzMail(f *testing.F) {
	f.Add(mail(head, "Subject: =?utf-8?q?Mi_bici?=", "In-Reply-To: <b@x.example>", "", "Sí.", "El lunes escribió:", "> ¿Y?", "-- ", "Ana"))
	f.Add(mail(head, `Content-Type: multipart/alternative; boundary="b"`, "", "--b", "Content-Type: text/html", "", "<p>x<blockquote type=cite>", "--b",
		"Content-Type: text/plain; charset=iso-8859-1; format=flowed", "Content-Transfer-Encoding: quoted-printable", "", "Ma=F1ana ", "x", "--b--"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, refused := mailbox.ReadMail(t, "care@shop.example", raw, received)
		if refused == "" && (p.ID == "" || len(p.ID) > listen.MaxID || len(p.Text) > listen.MaxText) {
			t.Errorf("%q has %d bytes", p.ID, len(p.Text))
		}
	})
}

func FuzzOwnWords(f *testing.F) {
	f.Add("Sí.\n\nEl 1 nov escribió:\n> ¿Y?\n-- \nAna", true)
	f.Fuzz(func(t *testing.T, text string, reply bool) {
		if got := mailbox.OwnWords(text, reply); len(got) > len(text) || got == "" && strings.TrimSpace(text) != "" {
			t.Errorf("%q of %q", got, text)
		}
	})
}
