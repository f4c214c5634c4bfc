package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// call is one request of the demo to a real server.
type call struct {
	method, url string
	bearer      string // Authorization
	vaultToken  string // X-Vault-Token
	creates     bool   // If-None-Match: *: nothing may be there
	replaces    bool   // If-Match: *: something must be
	json        any
	form        url.Values
}

// do sends c and decodes the answer into out, which may be nil. It returns the
// status; only what is no answer at all is an error.
func (c call) do(ctx context.Context, out any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var body io.Reader
	contentType := ""
	switch {
	case c.json != nil:
		b, err := json.Marshal(c.json)
		if err != nil {
			return 0, fmt.Errorf("encode the request: %w", err)
		}
		body, contentType = bytes.NewReader(b), "application/json"
	case c.form != nil:
		body, contentType = strings.NewReader(c.form.Encode()), "application/x-www-form-urlencoded"
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, body)
	if err != nil {
		return 0, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	if c.creates {
		req.Header.Set("If-None-Match", "*")
	}
	if c.replaces {
		req.Header.Set("If-Match", "*")
	}
	if c.vaultToken != "" {
		req.Header.Set("X-Vault-Token", c.vaultToken)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, err
	}
	if out != nil && len(answer) > 0 {
		if err := json.Unmarshal(answer, out); err != nil {
			return resp.StatusCode, fmt.Errorf("%s %s answered %d with no JSON: %w", c.method, c.url, resp.StatusCode, err)
		}
	}
	return resp.StatusCode, nil
}

// must is do for calls that have to succeed.
func (c call) must(ctx context.Context, out any) error {
	var answer json.RawMessage
	status, err := c.do(ctx, &answer)
	if err != nil {
		return err
	}
	if status >= 300 {
		return fmt.Errorf("%s %s answered %d: %s", c.method, c.url, status, answer)
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	return json.Unmarshal(answer, out)
}
