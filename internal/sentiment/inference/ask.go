package inference

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// ask puts one batch to the server. An error means that nothing of the answer can be used.
func (e *Engine) ask(ctx context.Context, posts []sentiment.Post) ([]opinion, error) {
	texts := make([]string, len(posts))
	for i, post := range posts {
		texts[i] = e.cut(post.Text)
	}
	if e.options.Protocol == Chat {
		return e.askChat(ctx, texts)
	}
	return e.askPredict(ctx, texts)
}

// cut is the part of a text that is sent: whole characters only, and some text in any case, since servers refuse none.
func (e *Engine) cut(text string) string {
	if len(text) > e.options.MaxText {
		text = text[:e.options.MaxText]
		for i := 0; i < utf8.UTFMax && !utf8.ValidString(text[max(0, len(text)-utf8.UTFMax):]); i++ {
			text = text[:len(text)-1]
		}
	}
	if text = strings.ToValidUTF8(text, " "); strings.TrimSpace(text) == "" {
		return "."
	}
	return text
}

// post sends a request and reads its answer, as JSON, into a value.
func (e *Engine) post(ctx context.Context, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, e.options.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.endpoint, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "tertulia")
	if e.options.Token != "" {
		request.Header.Set("Authorization", "Bearer "+e.options.Token)
	}
	response, err := e.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	read, err := io.ReadAll(io.LimitReader(response.Body, e.options.MaxAnswer+1))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(read)) > e.options.MaxAnswer {
		return fmt.Errorf("the answer is longer than %d bytes", e.options.MaxAnswer)
	}
	if json.Unmarshal(read, answer) != nil {
		// The decoder's own words may quote the answer, which may quote a post.
		return errors.New("the answer has another shape than the protocol's")
	}
	return nil
}
