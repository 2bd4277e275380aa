package sns_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/inbound"
	"github.com/tertulia-crm/tertulia/internal/server/sns"
	"github.com/tertulia-crm/tertulia/internal/server/sns/snstest"
)

func read(t *testing.T, body string) inbound.SNS {
	t.Helper()
	message, err := inbound.ReadSNS([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func notification() map[string]string {
	return map[string]string{"Type": "Notification", "MessageId": "m-1", "TopicArn": snstest.Topic, "Message": "hello"}
}

func TestVerify(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(s *snstest.Service, o *sns.Options, fields map[string]string)
		after  func(message *inbound.SNS)
		want   error
	}{
		"good":                      {reason: "the certificate and its issuer are served together"},
		"the issuer stands nowhere": {reason: "it is fetched from the authority", change: func(s *snstest.Service, _ *sns.Options, _ map[string]string) { s.Alone = true }},
		"a name of the region": {
			reason: "some regions have certificates of their own",
			change: func(s *snstest.Service, _ *sns.Options, _ map[string]string) {
				s.Signer = "sns-signing.eu-west-1.amazonaws.com"
			},
		},
		"somebody else's certificate": {
			reason: "a root vouches for many", change: func(s *snstest.Service, _ *sns.Options, _ map[string]string) { s.Signer = "s3.amazonaws.com" },
			want: inbound.ErrSignature,
		},
		"nobody vouches": {
			reason: "a root must be trusted, for the connection too",
			change: func(_ *snstest.Service, o *sns.Options, _ map[string]string) { o.Roots = x509.NewCertPool() }, want: sns.ErrUnavailable,
		},
		"expired": {
			reason: "a certificate ends",
			change: func(_ *snstest.Service, o *sns.Options, _ map[string]string) {
				o.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
			}, want: inbound.ErrSignature,
		},
		"another topic": {
			reason: "SNS signs for everybody",
			change: func(_ *snstest.Service, _ *sns.Options, f map[string]string) {
				f["TopicArn"] = "arn:aws:sns:eu-west-1:999999999999:theirs"
			},
			want: inbound.ErrSignature,
		},
		"a certificate elsewhere": {
			reason: "whoever could name it could sign", change: func(_ *snstest.Service, _ *sns.Options, f map[string]string) {
				f["SigningCertURL"] = "https://evil.example/SimpleNotificationService-" + strings.Repeat("0a", 16) + ".pem"
			}, want: inbound.ErrSignature,
		},
		"a certificate that is not there": {
			reason: "the service may know it in a moment", change: func(_ *snstest.Service, _ *sns.Options, f map[string]string) {
				f["SigningCertURL"] = strings.Replace(snstest.CertificateURL, "0a0a", "0b0b", 1)
			}, want: sns.ErrUnavailable,
		},
		"another text": {reason: "it was signed otherwise", after: func(m *inbound.SNS) { m.Message = "bye" }, want: inbound.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			service := snstest.New(t)
			o, fields := service.Options(), notification()
			if tc.change != nil {
				tc.change(service, &o, fields)
			}
			message := read(t, service.Sign(fields))
			if tc.after != nil {
				tc.after(&message)
			}
			if err := sns.New(o).Verify(t.Context(), snstest.Topic, message); !errors.Is(err, tc.want) {
				t.Errorf("%s: got %v, want %v", tc.reason, err, tc.want)
			}
		})
	}
}

// forged are messages that name certificates which are not there.
func forged(good inbound.SNS, from, to int) (list []inbound.SNS) {
	for i := from; i < to; i++ {
		good.SigningCertURL = fmt.Sprintf("https://%s/SimpleNotificationService-%032x.pem", snstest.Host, i)
		list = append(list, good)
	}
	return list
}

// TestACertificateIsFetchedOnce also where it is not there.
func TestACertificateIsFetchedOnce(t *testing.T) {
	service := snstest.New(t)
	client := sns.New(service.Options())
	good := read(t, service.Sign(notification()))
	for range 3 {
		if err := client.Verify(t.Context(), snstest.Topic, good); err != nil {
			t.Fatal(err)
		}
		if err := client.Verify(t.Context(), snstest.Topic, forged(good, 0, 1)[0]); !errors.Is(err, sns.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
	}
	if got := len(service.Requests()); got != 2 {
		t.Errorf("two certificates were asked for %d times", got)
	}
}

// TestStrangersKeepNobodyOut posts many messages that name certificates which are not there, before any good one and at the same time.
func TestStrangersKeepNobodyOut(t *testing.T) {
	service := snstest.New(t)
	client := sns.New(service.Options())
	good := read(t, service.Sign(notification()))
	for _, bad := range forged(good, 0, 1100) {
		if err := client.Verify(t.Context(), snstest.Topic, bad); !errors.Is(err, sns.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
	}
	if err := client.Verify(t.Context(), snstest.Topic, good); err != nil {
		t.Errorf("a good one after many bad ones: %v", err)
	}
}

// TestStrangersCostLittle has every connection to SNS hang for whoever names a certificate that is not there.
func TestStrangersCostLittle(t *testing.T) {
	service := snstest.New(t)
	service.Hold = make(chan struct{})
	client := sns.New(service.Options())
	good := read(t, service.Sign(notification()))
	if err := client.Verify(t.Context(), snstest.Topic, good); err != nil {
		t.Fatal(err)
	}
	var flood sync.WaitGroup
	for _, bad := range forged(good, 0, 200) {
		flood.Go(func() {
			if err := client.Verify(t.Context(), snstest.Topic, bad); !errors.Is(err, sns.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
	gomega.NewWithT(t).Eventually(func() int { return len(service.Requests()) }).WithTimeout(10 * time.Second).Should(gomega.Equal(1 + 4))
	if err := client.Verify(t.Context(), snstest.Topic, good); err != nil {
		t.Errorf("a good one meanwhile: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := client.Verify(ended, snstest.Topic, forged(good, 0, 1)[0]); !errors.Is(err, sns.ErrUnavailable) {
		t.Errorf("whoever has gone: %v", err)
	}
	if got := len(service.Requests()); got != 1+4 {
		t.Errorf("%d requests at the same time", got-1)
	}
	close(service.Hold)
	flood.Wait()
}

func TestConfirm(t *testing.T) {
	service := snstest.New(t)
	message := read(t, service.Sign(map[string]string{
		"Type": inbound.SNSSubscription, "MessageId": "m-1", "TopicArn": snstest.Topic, "Message": "hello", "Token": "t&1",
		"SubscribeURL": "https://evil.example/?Action=ConfirmSubscription",
	}))
	client := sns.New(service.Options())
	if err := client.Confirm(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	requests := service.Requests()
	if len(requests) != 1 || requests[0].Path != "/" || requests[0].Query().Get("Token") != "t&1" ||
		requests[0].Query().Get("Action") != "ConfirmSubscription" || requests[0].Query().Get("TopicArn") != snstest.Topic {
		t.Errorf("asked for %+v", requests)
	}
}
