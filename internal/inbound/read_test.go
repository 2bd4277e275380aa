package inbound_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/inbound"
	"github.com/tertulia-crm/tertulia/internal/render"
)

var key = []byte("0123456789abcdef0123456789abcdef")

// row is the message that the tests' notices are about.
var row = inbound.Reference{Send: 7, Seq: 4711}

func returnAddress(t testing.TB) string {
	t.Helper()
	address, err := inbound.ReturnAddress(key, "bounces@velo.example", row)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func messageID() string { return render.MessageID(key, row.Send, row.Seq, "", "velo.example") }

// deliveryReport is a report as RFC 3464 has it, about one recipient.
func deliveryReport(to, fields, original string) string {
	return strings.ReplaceAll(`Return-Path: <>
From: MAILER-DAEMON@mx.example
To: `+to+`
Subject: Undelivered mail
Date: Sun, 21 Mar 2027 09:12:00 +0000
Message-ID: <report-1@mx.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"

--b1
Content-Type: text/plain

The message could not be delivered.

--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example
Arrival-Date: Sun, 21 Mar 2027 09:11:58 +0000

Final-Recipient: rfc822; ana@people.example
`+fields+`

--b1
Content-Type: text/rfc822-headers

`+original+`
--b1--
`, "\n", "\r\n")
}

func TestReadReports(t *testing.T) {
	back := returnAddress(t)
	at := time.Date(2027, 3, 21, 9, 12, 0, 0, time.UTC)
	report := func(change func(*inbound.Notice)) inbound.Notice {
		n := inbound.Notice{Kind: inbound.Bounce, Reference: row, Class: inbound.Hard, At: at, MessageID: "report-1@mx.example"}
		change(&n)
		return n
	}
	cases := map[string]struct {
		why, message string
		want         inbound.Notice
	}{
		"UnknownUser": {
			"the mailbox does not exist", deliveryReport(back, "Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user here", "Subject: Hola"),
			report(func(n *inbound.Notice) { n.Status, n.Diagnostic = "5.1.1", "550 5.1.1 no such user here" }),
		},
		"ByMessageID": {
			"a server that answers the From address returns the header", deliveryReport("hola@velo.example", "Action: failed\nStatus: 5.1.2", "Message-ID: "+messageID()),
			report(func(n *inbound.Notice) { n.Status = "5.1.2" }),
		},
		"Full": {
			"a full mailbox may be emptied, whatever the first digit", deliveryReport(back, "Action: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp; 552 5.2.2 over quota", ""),
			report(func(n *inbound.Notice) {
				n.Class, n.Status, n.Diagnostic = inbound.Soft, "5.2.2", "552 5.2.2 over quota"
			}),
		},
		"Filtered": {
			"who is refused for the content is not gone", deliveryReport(back, "Action: failed\nStatus: 5.7.1\nDiagnostic-Code: smtp; 550 5.7.1 looks like spam", ""),
			report(func(n *inbound.Notice) {
				n.Class, n.Status, n.Diagnostic = inbound.Soft, "5.7.1", "550 5.7.1 looks like spam"
			}),
		},
		"GaveUp": {
			"a server gave up after days", deliveryReport(back, "Action: failed\nStatus: 4.4.1\nDiagnostic-Code: smtp; connection timed out", ""),
			report(func(n *inbound.Notice) {
				n.Class, n.Status, n.Diagnostic = inbound.Soft, "4.4.1", "connection timed out"
			}),
		},
		"UndefinedStatus": {
			"the server's words say what the status does not", deliveryReport(back, "Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 5.1.1 unknown", ""),
			report(func(n *inbound.Notice) { n.Status, n.Diagnostic = "5.0.0", "550 5.1.1 unknown" }),
		},
		"OldServer": {
			"words without codes", deliveryReport(back, "Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 User unknown", ""),
			report(func(n *inbound.Notice) { n.Status, n.Diagnostic = "5.0.0", "550 User unknown" }),
		},
		"SenderRefused": {
			"the sender's address is to blame", deliveryReport(back, "Action: failed\nStatus: 5.1.8", ""),
			report(func(n *inbound.Notice) { n.Class, n.Status = inbound.Soft, "5.1.8" }),
		},
		"Delayed": {
			"it is tried again", deliveryReport(back, "Action: delayed\nStatus: 4.4.1", ""),
			report(func(n *inbound.Notice) { n.Kind, n.Class, n.Status = inbound.Delay, "", "4.4.1" }),
		},
		"Delivered": {
			"nobody asked for it", deliveryReport(back, "Action: delivered\nStatus: 2.0.0", ""),
			report(func(n *inbound.Notice) { n.Kind, n.Class, n.Status = inbound.Delivery, "", "2.0.0" }),
		},
		"DeliveredAndFailed": {
			"what failed outweighs", deliveryReport(back, "Action: relayed\nStatus: 2.0.0\n\nFinal-Recipient: rfc822; b@people.example\nAction: failed\nStatus: 5.1.1", ""),
			report(func(n *inbound.Notice) { n.Status = "5.1.1" }),
		},
		"Forged": {
			"a token that we did not sign is none", deliveryReport("bounces+abcdefghijklmnop@velo.example", "Action: failed\nStatus: 5.1.1", "Message-ID: <7.4711.0011223344556677@velo.example>"),
			report(func(n *inbound.Notice) { n.Reference, n.Status = inbound.Reference{}, "5.1.1" }),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := inbound.Read(key, nil, strings.NewReader(tc.message))
			if err != nil {
				t.Fatal(err)
			}
			got.At = got.At.UTC()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

func feedbackReport(kind string) string {
	return strings.ReplaceAll(`From: fbl@provider.example
To: complaints@velo.example
Subject: a complaint
Message-ID: <fbl-1@provider.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=b2

--b2
Content-Type: text/plain

Somebody has called this message spam.
--b2
Content-Type: message/feedback-report

Feedback-Type: `+kind+`
User-Agent: Provider/1.0
Version: 1

--b2
Content-Type: message/rfc822

From: Velo <hola@velo.example>
To: redacted@provider.example
Message-ID: `+messageID()+`
Subject: Vuelve la primavera

Hola
--b2--
`, "\n", "\r\n")
}

func TestReadComplaints(t *testing.T) {
	cases := map[string]struct {
		feedback string
		want     inbound.Kind
	}{
		"Abuse":   {"abuse", inbound.Complaint},
		"Fraud":   {"fraud", inbound.Complaint},
		"NotSpam": {"not-spam", inbound.AutoReply},
		"Nothing": {"", inbound.AutoReply},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := inbound.Read(key, nil, strings.NewReader(feedbackReport(tc.feedback)))
			if err != nil {
				t.Fatal(err)
			}
			if got.Kind != tc.want || got.Reference != row {
				t.Errorf("got %s about %+v", got.Kind, got.Reference)
			}
			if tc.want == inbound.Complaint && got.Feedback != tc.feedback {
				t.Errorf("the feedback is %q", got.Feedback)
			}
		})
	}
}

func TestReadAnswers(t *testing.T) {
	reply := "From: =?utf-8?q?Jos=C3=A9?= <jose@people.example>\r\nTo: hola@velo.example\r\nSubject: Re: Primavera\r\nIn-Reply-To: " + messageID() +
		"\r\n%sContent-Type: text/plain; charset=utf-8\r\n\r\nQuiero una bici.\r\n"
	cases := map[string]struct {
		why, message string
		want         inbound.Notice
	}{
		"Person": {
			"somebody answers", fmt.Sprintf(reply, ""),
			inbound.Notice{
				Kind: inbound.Reply, Reference: row, From: "José <jose@people.example>", Subject: "Re: Primavera", Text: "Quiero una bici.\r\n",
			},
		},
		"Absent": {
			"an absence note says nothing that is kept", fmt.Sprintf(reply, "Auto-Submitted: auto-replied\r\n"),
			inbound.Notice{Kind: inbound.AutoReply, Reference: row},
		},
		"NotAutomatic": {
			"a program may say that a person wrote it", fmt.Sprintf(reply, "Auto-Submitted: no\r\n"),
			inbound.Notice{
				Kind: inbound.Reply, Reference: row, From: "José <jose@people.example>", Subject: "Re: Primavera", Text: "Quiero una bici.\r\n",
			},
		},
		"HTML": {
			"the text is found among alternatives",
			"To: hola@velo.example\r\nSubject: x\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>no</b>\r\n" +
				"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ns=ED\r\n--b--\r\n",
			inbound.Notice{Kind: inbound.Reply, Subject: "x", Text: "sí"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := inbound.Read(key, nil, strings.NewReader(tc.message))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

// TestReadHostile: anybody can write to a return address.
func TestReadHostile(t *testing.T) {
	deep := "Content-Type: multipart/mixed; boundary=b0\r\n\r\n"
	for i := range 2000 {
		deep += fmt.Sprintf("--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n", i, i+1)
	}
	cases := map[string]string{
		"Deep":         deep,
		"ManyParts":    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 50_000),
		"ManyGroups":   deliveryReport("x@velo.example", strings.Repeat("Action: delayed\n\n", 50_000), ""),
		"LongLine":     "Subject: " + strings.Repeat("x", 3<<20) + "\r\n\r\n",
		"NoBoundary":   "Content-Type: multipart/report; report-type=delivery-status\r\n\r\n--b\r\n",
		"UnknownCodes": "Content-Type: text/plain; charset=klingon\r\nContent-Transfer-Encoding: runes\r\n\r\nqapla\r\n",
		"NUL":          "Subject: a\x00b\r\nFrom: \xff\xfe\r\n\r\nc\x00d\xff",
		"ManyTokens":   "References: " + strings.Repeat("<1.1.00@a> ", 20_000) + "\r\n\r\n",
		"Endless":      "Subject: x\r\n\r\n" + strings.Repeat("text\r\n", 1<<20),
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := inbound.Read(key, nil, strings.NewReader(text))
			if err != nil && !errors.Is(err, inbound.ErrUnreadable) {
				t.Fatalf("an error of another kind: %v", err)
			}
			if got.Reference.Known() {
				t.Errorf("it refers to %+v", got.Reference)
			}
			if strings.ContainsRune(got.Subject+got.From+got.Text, 0) || len(got.Text) > 64<<10 || len(got.Subject) > 4*500 {
				t.Errorf("what it says is not bounded and clean: %d bytes", len(got.Text))
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(deliveryReport("bounces@velo.example", "Action: failed\nStatus: 5.1.1", "Message-ID: "+messageID()))
	f.Add(feedbackReport("abuse"))
	f.Add("Subject: x\r\n\r\nhello")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := inbound.Read(key, nil, strings.NewReader(text))
		if err != nil {
			return
		}
		if got.Kind == "" || got.Kind == inbound.Bounce && got.Class == "" {
			t.Errorf("it says nothing: %+v", got)
		}
		if got.Reference.Known() && got.Reference != row {
			t.Errorf("it refers to %+v, which nobody signed", got.Reference)
		}
	})
}
