package mailbox

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hostile is a message that tries what a mail can try.
const hostile = "From: Velo <hola@velo.example>\r\nTo: ana@example.com\r\nSubject: <script>alert(1)</script>\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=out\r\n\r\n" +
	"--out\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n" +
	"--in\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=A1Hola!\r\n" +
	"--in\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hola</p><script>alert(2)</script><img src=\"https://tracker.example/x\">\r\n--in--\r\n" +
	"--out\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=\"evil.html\"\r\n\r\n<script>alert(3)</script>\r\n--out--\r\n"

func testHandler(t *testing.T, messages ...string) http.Handler {
	t.Helper()
	store, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	for _, message := range messages {
		if _, err := store.Append(time.Now(), "hola@velo.example", []string{"ana@example.com"}, []byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	return NewHandler(store)
}

func serve(handler http.Handler, host, path string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, path, nil)
	request.Host = host
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

func TestPages(t *testing.T) {
	handler := testHandler(t, hostile, string(mail(2, "ana@example.com")))
	tests := map[string]struct {
		path string
		code int
		has  []string
		not  []string
	}{
		"List":       {"/", 200, []string{"&lt;script&gt;alert(1)", "Número 2", "1–2 of 2"}, []string{"<script"}},
		"Search":     {"/?q=n%C3%BAmero", 200, []string{"1–1 of 1 found", `value="número"`}, []string{"alert"}},
		"Nothing":    {"/?q=%22%3E%3Cb%3E", 200, []string{"Nothing found", "Show all 2"}, []string{"<b>"}},
		"BeyondEnd":  {"/?page=999999999999", 200, []string{"1–2 of 2"}, nil},
		"HTMLView":   {"/messages/1", 200, []string{`sandbox="allow-popups allow-popups-to-escape-sandbox"`, "evil.html"}, []string{"<script", "allow-scripts", "allow-same-origin"}},
		"TextView":   {"/messages/1?view=text", 200, []string{"¡Hola!"}, []string{"<script"}},
		"HeaderView": {"/messages/1?view=header", 200, []string{"<dt>From</dt><dd>Velo &lt;hola@velo.example&gt;</dd>"}, []string{"<script"}},
		"SourceView": {"/messages/1?view=source", 200, []string{"boundary=out", "&lt;script&gt;alert(3)"}, []string{"<script"}},
		"TextOnly":   {"/messages/2", 200, []string{"begins with a dot"}, []string{"<iframe"}},
		"Missing":    {"/messages/3", 404, []string{"no such message"}, nil},
		"NotANumber": {"/messages/x", 404, []string{"no such message"}, nil},
		"Style":      {"/style.css", 200, []string{"color-scheme"}, []string{"url("}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			answer := serve(handler, "127.0.0.1:8025", tc.path)
			if answer.Code != tc.code {
				t.Errorf("code %d, want %d", answer.Code, tc.code)
			}
			body := answer.Body.String()
			for _, text := range tc.has {
				if !strings.Contains(body, text) {
					t.Errorf("%q is not in:\n%s", text, body)
				}
			}
			for _, text := range tc.not {
				if strings.Contains(body, text) {
					t.Errorf("%q is in:\n%s", text, body)
				}
			}
			if !strings.HasPrefix(answer.Header().Get("Content-Security-Policy"), "default-src 'none'") {
				t.Error("no content security policy")
			}
		})
	}
}

func TestAMailsOwnHTMLIsConfined(t *testing.T) {
	handler := testHandler(t, hostile)
	answer := serve(handler, "127.0.0.1:8025", "/messages/1/html")
	policy := answer.Header().Get("Content-Security-Policy")
	for _, directive := range []string{"default-src 'none'", "img-src data:", "sandbox"} {
		if !strings.Contains(policy, directive) {
			t.Errorf("the policy lacks %q: %s", directive, policy)
		}
	}
	if strings.Contains(policy, "script") {
		t.Errorf("the policy lets scripts run: %s", policy)
	}
	part := serve(handler, "127.0.0.1:8025", "/messages/1/parts/2")
	want := []string{"attachment; filename=evil.html", "application/octet-stream"}
	got := []string{part.Header().Get("Content-Disposition"), part.Header().Get("Content-Type")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestForeignHostNamesAreRefused(t *testing.T) {
	handler := testHandler(t, hostile)
	for host, want := range map[string]int{
		"127.0.0.1:8025": 200, "localhost:8025": 200, "[::1]:8025": 200, "192.168.1.7:8025": 200,
		"rebound.example:8025": 421, "localhost.example": 421, "": 421,
	} {
		if got := serve(handler, host, "/api/messages").Code; got != want {
			t.Errorf("host %q: got %d, want %d", host, got, want)
		}
	}
}

func TestParseSurvivesAnything(t *testing.T) {
	nested := strings.Repeat("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n", 5000)
	for name, raw := range map[string]string{
		"Empty": "", "NoHeader": "\r\nbody", "Binary": "\x00\xff\xfe", "Nested": nested,
		"UnknownCharset": "Content-Type: text/plain; charset=klingon\r\n\r\nnuqneH", "BadBase64": "Content-Transfer-Encoding: base64\r\n\r\n%%%",
	} {
		t.Run(name, func(t *testing.T) {
			m := parse(Entry{ID: 1}, []byte(raw))
			if len(m.Parts) > maxParts {
				t.Errorf("%d parts", len(m.Parts))
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(hostile))
	f.Add(mail(1, "ana@example.com"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_ = parse(Entry{ID: 1}, raw)
	})
}

// The pages fetch nothing from anywhere else.
func TestNoExternalAssets(t *testing.T) {
	files, err := filepath.Glob("pages/*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file) //nolint:gosec // our own pages
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(content), "xmlns='http://www.w3.org/2000/svg'", "")
		if strings.Contains(text, "://") {
			t.Errorf("%s has an absolute URL", file)
		}
	}
}
