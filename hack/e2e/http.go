package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// answerTimeout bounds every question to a server.
const answerTimeout = 10 * time.Second

// asking keeps no connection: one that outlived the node's bridge would look for its far end elsewhere.
var asking = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// get asks for a page and returns the status code.
func get(ctx context.Context, address, token string) (int, error) {
	code, _, err := ask(ctx, address, token)
	return code, err
}

// getJSON asks for a page, which must be there, and reads it.
func getJSON(ctx context.Context, address, token string, into any) error {
	code, body, err := ask(ctx, address, token)
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		return fmt.Errorf("it answered %d", code)
	}
	return json.Unmarshal(body, into)
}

func ask(ctx context.Context, address, token string) (code int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := asking.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, body, err
}
