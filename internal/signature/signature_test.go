package signature_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/signature"
)

// The example of the specification (Standard Webhooks, "Signature scheme").
const (
	exampleKey       = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	exampleID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	exampleBody      = `{"test": 2432232314}`
	exampleSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

var exampleTime = time.Unix(1614265330, 0)

func parse(t *testing.T, text string) signature.Keys {
	t.Helper()
	keys, err := signature.ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestTheSpecificationsExample(t *testing.T) {
	keys := parse(t, exampleKey)
	if got := keys.Sign(exampleID, exampleTime, []byte(exampleBody)); got != exampleSignature {
		t.Errorf("got %s, want %s", got, exampleSignature)
	}
	if err := keys.Verify(exampleID, "1614265330", exampleSignature, []byte(exampleBody), exampleTime.Add(time.Minute)); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNotAsItWasSigned(t *testing.T) {
	keys := parse(t, exampleKey)
	for name, tc := range map[string]struct {
		id, timestamp, signatures, body string
		now                             time.Time
		want                            string // "" accepts
	}{
		"as it was":            {exampleID, "1614265330", exampleSignature, exampleBody, exampleTime, ""},
		"among others":         {exampleID, "1614265330", "v1a,xxx v1,bm90IG91cnM= " + exampleSignature, exampleBody, exampleTime, ""},
		"another id":           {"other", "1614265330", exampleSignature, exampleBody, exampleTime, "no signature"},
		"another moment":       {exampleID, "1614265331", exampleSignature, exampleBody, exampleTime, "no signature"},
		"another body":         {exampleID, "1614265330", exampleSignature, exampleBody + " ", exampleTime, "no signature"},
		"no signature":         {exampleID, "1614265330", "", exampleBody, exampleTime, "no signature"},
		"another scheme":       {exampleID, "1614265330", strings.Replace(exampleSignature, "v1,", "v2,", 1), exampleBody, exampleTime, "no signature"},
		"no base64":            {exampleID, "1614265330", "v1,%%%", exampleBody, exampleTime, "no signature"},
		"played again":         {exampleID, "1614265330", exampleSignature, exampleBody, exampleTime.Add(6 * time.Minute), "clock"},
		"of a clock that runs": {exampleID, "1614265330", exampleSignature, exampleBody, exampleTime.Add(-6 * time.Minute), "clock"},
		"no time":              {exampleID, "now", exampleSignature, exampleBody, exampleTime, "no number"},
	} {
		t.Run(name, func(t *testing.T) {
			err := keys.Verify(tc.id, tc.timestamp, tc.signatures, []byte(tc.body), tc.now)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// While a key is replaced, whoever has either of them accepts.
func TestAKeyIsReplaced(t *testing.T) {
	const older, newer = "an old key of at least 24 bytes", "a new key of at least 24 bytes"
	signed := parse(t, newer+"\n"+older+"\n").Sign("id", exampleTime, []byte("{}"))
	for _, key := range []string{older, newer, newer + "\n\n" + older} {
		if err := parse(t, key).Verify("id", "1614265330", signed, []byte("{}"), exampleTime); err != nil {
			t.Errorf("who has %q: %v", key, err)
		}
	}
	if err := parse(t, "somebody else's key, 24 bytes").Verify("id", "1614265330", signed, []byte("{}"), exampleTime); err == nil {
		t.Error("a stranger's key accepts it")
	}
}

func TestKeysThatAreNone(t *testing.T) {
	long := strings.Repeat("k", 24)
	for text, want := range map[string]string{
		"": "no signing key", " \n\n": "no signing key", "too-short-s3cret": "24 bytes", "whsec_s3cret%%": "base64", "whsec_c2hvcnQ=": "24 bytes",
		long + "1\n" + long + "2\n" + long + "3": "more than 2",
	} {
		_, err := signature.ParseKeys(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
