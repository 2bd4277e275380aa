package inbound_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // as SNS does
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/inbound"
)

// sesBounce is the example of SES's documentation, with our return address.
const sesBounce = `{"notificationType": "Bounce",
	"bounce": {"bounceType": "Permanent", "bounceSubType": "General", "timestamp": "2027-03-21T09:00:00.000Z", "feedbackId": "f-1",
		"bouncedRecipients": [{"emailAddress": "ana@people.example", "status": "5.1.1", "action": "failed", "diagnosticCode": "smtp; 550 5.1.1 user unknown"}]},
	"mail": {"timestamp": "2027-03-21T08:59:59.000Z", "source": "SOURCE", "messageId": "0102", "destination": ["ana@people.example"]}}`

func TestSESReports(t *testing.T) {
	address, messageID := returnAddress(t), messageID()
	at := time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)
	bounce := inbound.Notice{Kind: inbound.Bounce, Class: inbound.Hard, Status: "5.1.1", Diagnostic: "550 5.1.1 user unknown", At: at}
	about := func(n inbound.Notice) inbound.Notice {
		n.Reference = row
		return n
	}
	edit := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(sesBounce) }
	for name, tc := range map[string]struct {
		message string
		want    []inbound.Report
	}{
		"by where it goes": {edit("SOURCE", address), []inbound.Report{{ID: "m/0", Notice: about(bounce)}}},
		"by its Message-ID": {
			edit(`"SOURCE"`, `"hola@velo.example", "headers": [{"name": "Message-ID", "value": "`+messageID+`"}]`),
			[]inbound.Report{{ID: "m/0", Notice: about(bounce)}},
		},
		"published by a configuration set": {edit("SOURCE", address, "notificationType", "eventType"), []inbound.Report{{ID: "m/0", Notice: about(bounce)}}},
		"of nothing of ours, to two": {
			edit("SOURCE", "hola@velo.example", "}]}", `}, {"emailAddress": "eva@people.example"}]}`),
			[]inbound.Report{
				{ID: "m/0", Address: "ana@people.example", Notice: bounce},
				{ID: "m/1", Address: "eva@people.example", Notice: inbound.Notice{Kind: inbound.Bounce, Class: inbound.Hard, At: at}},
			},
		},
		"a full mailbox": {
			edit("SOURCE", address, "Permanent", "Transient", "5.1.1", "4.2.2"),
			[]inbound.Report{{ID: "m/0", Notice: about(inbound.Notice{
				Kind: inbound.Bounce, Class: inbound.Soft, Status: "4.2.2", Diagnostic: "550 4.2.2 user unknown", At: at,
			})}},
		},
		"known to be gone": {
			edit("SOURCE", address, "General", "OnAccountSuppressionList", "5.1.1", "5.7.9"),
			[]inbound.Report{{ID: "m/0", Notice: about(inbound.Notice{
				Kind: inbound.Bounce, Class: inbound.Hard, Status: "5.7.9", Diagnostic: "550 5.7.9 user unknown", At: at,
			})}},
		},
		"a complaint that names nobody": {
			`{"notificationType": "Complaint", "complaint": {"complaintFeedbackType": "Abuse", "complainedRecipients": []}, "mail": {"source": "` + address + `"}}`,
			[]inbound.Report{{ID: "m/0", Notice: about(inbound.Notice{Kind: inbound.Complaint, Feedback: "abuse"})}},
		},
		"not spam": {
			`{"notificationType": "Complaint", "complaint": {"complaintFeedbackType": "not-spam"}, "mail": {"source": "` + address + `"}}`, nil,
		},
		"a delay": {
			`{"eventType": "DeliveryDelay", "deliveryDelay": {"delayedRecipients": [{"emailAddress": "ana@people.example", "status": "4.4.1"}]}, "mail": {"source": "` +
				address + `"}}`,
			[]inbound.Report{{ID: "m/0", Notice: about(inbound.Notice{Kind: inbound.Delay, Status: "4.4.1"})}},
		},
		"a delivery":              {`{"notificationType": "Delivery", "mail": {"source": "` + address + `"}}`, nil},
		"that the topic is ready": {"Successfully validated SNS topic for Amazon SES event publishing.", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := inbound.SNS{MessageID: "m", Message: tc.message}.SESReports(key)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestSNSSignatures(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &x509.Certificate{PublicKey: &private.PublicKey}
	now := time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)
	sign := func(text, version string) string {
		hash, sum := crypto.SHA256, sha256.Sum256([]byte(text))
		digest := sum[:]
		if version == "1" {
			old := sha1.Sum([]byte(text)) //nolint:gosec // as SNS does
			hash, digest = crypto.SHA1, old[:]
		}
		signature, err := rsa.SignPKCS1v15(rand.Reader, private, hash, digest)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(signature)
	}
	// As the documentation of SNS has it, field by field.
	notification := "Message\nhello\nMessageId\nm-1\nSubject\nhi\nTimestamp\n2027-03-21T08:59:00.000Z\nTopicArn\narn:x\nType\nNotification\n"
	subscription := "Message\nhello\nMessageId\nm-1\nSubscribeURL\nhttps://a.example\nTimestamp\n2027-03-21T08:59:00.000Z\nToken\nt\nTopicArn\narn:x\nType\nSubscriptionConfirmation\n"
	for name, tc := range map[string]struct {
		change func(fields map[string]string)
		good   bool
	}{
		"version 2": {func(f map[string]string) { f["Signature"] = sign(notification, "2") }, true},
		"version 1": {func(f map[string]string) { f["SignatureVersion"], f["Signature"] = "1", sign(notification, "1") }, true},
		"no subject": {func(f map[string]string) {
			delete(f, "Subject")
			f["Signature"] = sign(strings.Replace(notification, "Subject\nhi\n", "", 1), "2")
		}, true},
		"subscription": {func(f map[string]string) {
			f["Type"] = "SubscriptionConfirmation"
			f["Signature"] = sign(subscription, "2")
		}, true},
		"another text":         {func(f map[string]string) { f["Message"] = "bye"; f["Signature"] = sign(notification, "2") }, false},
		"another topic":        {func(f map[string]string) { f["TopicArn"] = "arn:y"; f["Signature"] = sign(notification, "2") }, false},
		"another type":         {func(f map[string]string) { f["Type"] = "Other"; f["Signature"] = sign(notification, "2") }, false},
		"as the other version": {func(f map[string]string) { f["SignatureVersion"] = "1"; f["Signature"] = sign(notification, "2") }, false},
		"version 3":            {func(f map[string]string) { f["SignatureVersion"] = "3"; f["Signature"] = sign(notification, "2") }, false},
		"none":                 {func(map[string]string) {}, false},
		"long ago": {func(f map[string]string) {
			f["Timestamp"] = "2027-03-20T08:59:00.000Z"
			f["Signature"] = sign(strings.Replace(notification, "2027-03-21", "2027-03-20", 1), "2")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			fields := map[string]string{
				"Type": "Notification", "MessageId": "m-1", "TopicArn": "arn:x", "Subject": "hi", "Message": "hello", "Timestamp": "2027-03-21T08:59:00.000Z",
				"SignatureVersion": "2", "SubscribeURL": "https://a.example", "Token": "t",
			}
			tc.change(fields)
			body, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			message, err := inbound.ReadSNS(body)
			if err != nil {
				t.Fatal(err)
			}
			if err := message.Verify(certificate, now); (err == nil) != tc.good || err != nil && !errors.Is(err, inbound.ErrSignature) {
				t.Errorf("got %v, good: %t", err, tc.good)
			}
		})
	}
}

func TestSNSHostsAndCertificates(t *testing.T) {
	for arn, want := range map[string]string{
		"arn:aws:sns:eu-west-1:123456789012:velo":        "sns.eu-west-1.amazonaws.com",
		"arn:aws-cn:sns:cn-north-1:123456789012:velo":    "sns.cn-north-1.amazonaws.com.cn",
		"arn:aws:sns:eu-west-1.evil:123456789012:velo":   "",
		"arn:aws:sns:eu-west-1:123456789012:velo\nx":     "",
		"arn:aws:sqs:eu-west-1:123456789012:velo":        "",
		"arn:aws:sns:a.example/:123456789012:velo":       "",
		"arn:aws-moon:sns:eu-west-1:123456789012:velo":   "",
		"arn:aws-us-gov:sns:us-gov-1:123456789012:velo1": "sns.us-gov-1.amazonaws.com",
	} {
		if host, _, ok := inbound.SNSHost(arn); host != want || ok != (want != "") {
			t.Errorf("%q: %q", arn, host)
		}
	}
	const host = "sns.eu-west-1.amazonaws.com"
	name := "/SimpleNotificationService-" + strings.Repeat("0a", 16) + ".pem"
	for address, good := range map[string]bool{
		"https://" + host + name:                     true,
		"http://" + host + name:                      false,
		"https://" + host + ":8443" + name:           false,
		"https://u@" + host + name:                   false,
		"https://" + host + name + "?x":              false,
		"https://" + host + name + "#x":              false,
		"https://" + host + "/x/.." + name:           false,
		"https://" + host + "/other.pem":             false,
		"https://sns.us-east-1.amazonaws.com" + name: false,
		"https://" + host + ".evil.example" + name:   false,
		"https://evil.example/" + host + name:        false,
		"https://s3.amazonaws.com/" + host + name:    false,
		"https://" + host + "%2eevil.example" + name: false,
		"https://" + strings.ToUpper(host) + name:    false,
		"": false,
		"https://" + host + "\\@evil.example/" + name:  false,
		"https://" + host + name + "\r\nHost: evil.ex": false,
	} {
		if err := inbound.CheckSNSCertificateURL(host, address); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
	}
}
