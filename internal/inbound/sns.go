package inbound

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what SNS signs with unless it is told otherwise; the topic is at the end of what is signed
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// The types of what SNS posts.
const (
	SNSNotification   = "Notification"
	SNSSubscription   = "SubscriptionConfirmation"
	SNSUnsubscription = "UnsubscribeConfirmation"
)

// SNSTolerance is how far SNS's timestamp may be from the clock: it tries for less than an hour to be heard, and a
// subscription may have a policy of its own. What was taken in before changes nothing.
const SNSTolerance = 24 * time.Hour

// SNS is what Amazon's notification service posts. Nothing of it is to be believed before Verify.
type SNS struct {
	Type             string
	MessageID        string `json:"MessageId"`
	TopicARN         string `json:"TopicArn"`
	Subject          *string
	Message          string
	Timestamp        string
	Token            string
	SubscribeURL     string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
}

// ReadSNS reads what SNS posted. It gives ErrReport.
func ReadSNS(body []byte) (SNS, error) {
	var s SNS
	if err := json.Unmarshal(body, &s); err != nil {
		return SNS{}, fmt.Errorf("%w: %s", ErrReport, jsonTrouble(err))
	}
	if s.MessageID == "" || len(s.MessageID) > maxHookID {
		return SNS{}, fmt.Errorf("%w: MessageId is missing, or longer than %d bytes", ErrReport, maxHookID)
	}
	return s, nil
}

// signed is what SNS signs: names and values of some fields in the order of the alphabet, each on a line. Type and topic are
// the last, so that nobody who makes SNS sign a message of another topic's can pass it on as one of this.
func (s SNS) signed() ([]byte, error) {
	fields := []string{"Message", s.Message, "MessageId", s.MessageID}
	switch s.Type {
	case SNSNotification:
		if s.Subject != nil {
			fields = append(fields, "Subject", *s.Subject)
		}
		fields = append(fields, "Timestamp", s.Timestamp)
	case SNSSubscription, SNSUnsubscription:
		fields = append(fields, "SubscribeURL", s.SubscribeURL, "Timestamp", s.Timestamp, "Token", s.Token)
	default:
		return nil, fmt.Errorf("%w: its type is unknown", ErrSignature)
	}
	fields = append(fields, "TopicArn", s.TopicARN, "Type", s.Type)
	return []byte(strings.Join(fields, "\n") + "\n"), nil
}

// Verify checks that a certificate's key signed the message lately. Whose the certificate is, the caller has checked.
func (s SNS) Verify(certificate *x509.Certificate, now time.Time) error {
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("%w: the certificate has no RSA key", ErrSignature)
	}
	text, err := s.signed()
	if err != nil {
		return err
	}
	signature, err := base64.StdEncoding.DecodeString(s.Signature)
	if err != nil {
		return ErrSignature
	}
	switch s.SignatureVersion {
	case "1":
		sum := sha1.Sum(text) //nolint:gosec // as above
		err = rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], signature)
	case "2":
		sum := sha256.Sum256(text)
		err = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
	default:
		return fmt.Errorf("%w: its version is unknown", ErrSignature)
	}
	if err != nil {
		return ErrSignature
	}
	at, err := time.Parse(time.RFC3339, s.Timestamp)
	if off := now.Sub(at); err != nil || off > SNSTolerance || off < -SNSTolerance {
		return fmt.Errorf("%w: it was made more than %s ago, or hence", ErrSignature, SNSTolerance)
	}
	return nil
}

// topic takes the ARN of a topic apart: its partition and its region.
var topic = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):sns:([a-z0-9-]{1,40}):[0-9]{12}:[A-Za-z0-9_.-]{1,260}$`)

// certificatePath is where SNS keeps certificates.
var certificatePath = regexp.MustCompile(`^/SimpleNotificationService-[0-9a-f]{32}\.pem$`)

// SNSHost is the host of the service that a topic belongs to, and the names of which one stands in its certificates. It is
// false for an ARN that is none.
func SNSHost(topicARN string) (host string, names []string, ok bool) {
	part := topic.FindStringSubmatch(topicARN)
	if part == nil {
		return "", nil, false
	}
	domain := ".amazonaws.com"
	if part[1] == "aws-cn" {
		domain = ".amazonaws.com.cn"
	}
	region := part[2] + domain
	return "sns." + region, []string{"sns" + domain, "sns." + region, "sns-" + region, "sns-signing." + region}, true
}

// CheckSNSCertificateURL tells whether an address is one of a certificate at this host, and of nothing else.
func CheckSNSCertificateURL(host, address string) error {
	u, err := url.Parse(address)
	if err != nil || address != "https://"+host+u.Path || !certificatePath.MatchString(u.Path) {
		return fmt.Errorf("%w: SigningCertURL is no certificate of the topic's region", ErrSignature)
	}
	return nil
}

// ConfirmURL is where the subscription is confirmed. It is made anew: no address that came with a message is followed.
func (s SNS) ConfirmURL(host string) string {
	query := url.Values{"Action": {"ConfirmSubscription"}, "TopicArn": {s.TopicARN}, "Token": {s.Token}}
	return "https://" + host + "/?" + query.Encode()
}
