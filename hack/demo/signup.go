package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// signedUp is who fills in the shop's form: none of the invented customers.
const signedUp = "nueva.ciclista@velo-club.example"

// signUp has somebody sign up for the newsletter as a shop's form would tell it, and confirm by the link of the mail that asks.
func (d *demo) signUp(ctx context.Context) error {
	before, err := countMail(ctx, d.up.ready.Mailbox, url.Values{"to": {signedUp}})
	if err != nil {
		return err
	}
	if before.Count > 0 {
		d.show.say("• %s signed up in an earlier run", signedUp)
		return nil
	}
	d.show.begin("Signing up %s in a form, which takes a confirmation", signedUp)
	if err := d.subscribe(ctx); err != nil {
		return fmt.Errorf("sign up: %w", err)
	}
	var link string
	err = await(ctx, func(ctx context.Context) (missing string, err error) {
		link, err = confirmLink(ctx, d.up.ready.Mailbox)
		if link == "" {
			missing = "no mail asks whether it is meant"
		}
		return missing, err
	})
	if err != nil {
		return fmt.Errorf("sign up: %w", err)
	}
	if err := confirm(ctx, link); err != nil {
		return fmt.Errorf("confirm by %s: %w", link, err)
	}
	d.show.done("a mail asked, its link was followed, and the consent is on record with the version of its text")
	return nil
}

// subscribe tells the API what a form was filled in with.
func (d *demo) subscribe(ctx context.Context) error {
	var secret corev1.Secret
	if err := d.velo.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "tertulia-admin"}, &secret); err != nil {
		return fmt.Errorf("read the tenant's token: %w", err)
	}
	body, err := json.Marshal(map[string]any{"email": signedUp, "purposes": []string{"newsletter"}, "locale": "es", "source": "shop"})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.up.ready.Server+"/t/"+tenantID+"/v1/subscriptions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+string(secret.Data["token"]))
	request.Header.Set("Content-Type", "application/json")
	_, err = exchange(request, http.StatusAccepted)
	return err
}

// confirmLink is the link in the mail that asks; "" while there is no such mail.
func confirmLink(ctx context.Context, mailbox string) (string, error) {
	var list struct {
		Messages []struct {
			ID json.Number `json:"id"`
		} `json:"messages"`
	}
	if err := getJSON(ctx, mailbox+"/api/messages?"+url.Values{"to": {signedUp}}.Encode(), &list); err != nil || len(list.Messages) == 0 {
		return "", err
	}
	var message struct {
		HTML string `json:"html"`
	}
	if err := getJSON(ctx, mailbox+"/api/messages/"+list.Messages[0].ID.String(), &message); err != nil {
		return "", err
	}
	page, err := html.Parse(strings.NewReader(message.HTML))
	if err != nil {
		return "", fmt.Errorf("read the mail that asks: %w", err)
	}
	for n := range page.Descendants() {
		if href := attribute(n, "href"); n.Data == "a" && strings.Contains(href, "/t/"+tenantID+"/s/") {
			return href, nil
		}
	}
	return "", errors.New("the mail that asks has no link to confirm")
}

// confirm opens the page behind a link and presses its button.
func confirm(ctx context.Context, link string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return err
	}
	text, err := exchange(request, http.StatusOK)
	if err != nil {
		return err
	}
	page, err := html.Parse(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	form := url.Values{}
	for n := range page.Descendants() {
		if n.Data == "input" {
			form.Add(attribute(n, "name"), attribute(n, "value"))
		}
	}
	request, err = http.NewRequestWithContext(ctx, http.MethodPost, link, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if text, err = exchange(request, http.StatusOK); err == nil && bytes.Contains(text, []byte("<button")) {
		err = errors.New("the page asks again")
	}
	return err
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func getJSON(ctx context.Context, address string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	text, err := exchange(request, http.StatusOK)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	return err
}

// exchange sends a request and reads the answer, which is an error unless it has the status.
func exchange(request *http.Request, status int) ([]byte, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != status {
		err = fmt.Errorf("%s %s answered %s: %.200s", request.Method, request.URL.Path, response.Status, text)
	}
	return text, err
}
