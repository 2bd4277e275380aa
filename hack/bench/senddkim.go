package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/tertulia-crm/tertulia/internal/compose"
	"github.com/tertulia-crm/tertulia/internal/deliver/dkim"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// signingTime is for how long each way to sign is measured.
const signingTime = 2 * time.Second

// measureSigning tells what it costs to sign mail ourselves, on one core: signatures of the benchmark's message, beside the bare
// operation with the key, and their share of the time in which a message is written and signed.
func measureSigning(ctx context.Context, _ Settings) ([]Row, error) {
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make an RSA key: %w", err)
	}
	_, short, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an Ed25519 key: %w", err)
	}
	message, writing, err := writtenMessage(ctx)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, k := range []struct {
		name string
		key  crypto.Signer
		hash crypto.Hash
	}{{"rsa2048", long, crypto.SHA256}, {"ed25519", short, 0}} {
		der, err := x509.MarshalPKCS8PrivateKey(k.key)
		if err != nil {
			return nil, fmt.Errorf("encode a key: %w", err)
		}
		signer, err := dkim.New("bench.example", "bench", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
		if err != nil {
			return nil, err
		}
		ours, err := often(ctx, func() error { _, err := signer.Sign(message); return err })
		if err != nil {
			return nil, err
		}
		digest := sha256.Sum256(message)
		bare, err := often(ctx, func() error { _, err := k.key.Sign(rand.Reader, digest[:], k.hash); return err })
		if err != nil {
			return nil, err
		}
		row := Rate("send/dkim/"+k.name, "signatures/s", ours, bare)
		signing := time.Duration(float64(time.Second) / ours)
		row.Note = fmt.Sprintf("a message of %d bytes, by the time of one core; bound: the bare operation with the key; "+
			"writing a message takes %v, signing it %v, %.0f %% of both",
			len(message), writing.Round(100*time.Nanosecond), signing.Round(time.Microsecond), 100*float64(signing)/float64(signing+writing))
		rows = append(rows, row)
	}
	return rows, nil
}

// often tells how often something can be done in a second of a processor, whatever else the machine does.
func often(ctx context.Context, do func() error) (float64, error) {
	began, used, n := time.Now(), ownTime(), 0
	for time.Since(began) < signingTime {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := do(); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / (ownTime() - used).Seconds(), nil
}

// writtenMessage is the benchmark's message to somebody, and how long it takes to write one.
func writtenMessage(ctx context.Context) (message []byte, took time.Duration, err error) {
	template, err := compose.Template(store.Template{
		Name: sendCampaign, DefaultLocale: "en", Content: []store.TemplateContent{{Locale: "en", Subject: sendSubject, HTML: sendHTML(), Text: sendText()}},
	})
	if err != nil {
		return nil, 0, err
	}
	messages, err := template.CompileMessages(render.Outside{
		From: "Bench <mail@bench.example>", Domain: "bench.example", PublicURL: "https://crm.bench.example", OneClick: true, Send: 1,
		Signer: render.NewSigner(make([]byte, 32)), Opens: true, Clicks: true,
		Fields: []string{"first_name", "last_name", "city", "points", "plan", "renews"},
	})
	if err != nil {
		return nil, 0, err
	}
	ids := map[string]int64{}
	for i, url := range messages.Links() {
		ids[url] = int64(i + 1)
	}
	messages.Number(ids)
	recipient := render.Recipient{
		Address: "somebody@people.example", Seq: 1, Contact: 1, Tags: []string{"road", "gravel"}, Date: time.Now(),
		Values: []any{"Ana", "Ruiz", "Girona", int64(1280), "pro", "2027-06-01"},
	}
	rate, err := often(ctx, func() error {
		message, err = messages.For("en").Append(message[:0], recipient)
		return err
	})
	return message, time.Duration(float64(time.Second) / rate), err
}
