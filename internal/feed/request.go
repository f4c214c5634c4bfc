package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// grace is how long the server may take to answer beyond the wait.
const grace = 20 * time.Second

// changes asks for what came after since.
func (c *Client) changes(ctx context.Context, since registry.Head, wait time.Duration) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+grace)
	defer cancel()
	query := url.Values{"since": {FormatHead(since)}}
	if wait > 0 {
		query.Set("wait", strconv.Itoa(int(wait.Seconds())))
	}
	var a answer
	err := c.get(ctx, "changes", query, func(r *reader) (err error) {
		a, err = readChanges(r, c.o.Scope, since)
		return err
	})
	if err != nil {
		return answer{}, err
	}
	return a, nil
}

// snapshot asks for the scope as it is.
func (c *Client) snapshot(ctx context.Context) (registry.Facts, error) {
	var f registry.Facts
	err := c.get(ctx, "snapshot", url.Values{}, func(r *reader) (err error) {
		f, err = readSnapshot(r, c.o.Scope, c.acceptable)
		return err
	})
	return f, err
}

// get asks for what is at the path and has read read the answer.
func (c *Client) get(ctx context.Context, path string, query url.Values, read func(*reader) error) error {
	token, err := c.o.Token(ctx)
	if err != nil {
		return fmt.Errorf("get the token for the feed: %w", err)
	}
	u := c.base.JoinPath(path)
	query.Set("scope", c.o.Scope)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Accept", MediaType+", application/problem+json")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", c.o.UserAgent)
	resp, err := c.o.HTTP.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // its text repeats the URL
		}
		return registry.Unavailable.Wrap(err, "unreachable", "there was no answer from "+c.base.Host)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType != MediaType {
		return broken("it is none of the feed's")
	}
	return read(newReader(resp.Body))
}

// refusals are what each status means to a follower. Any other is a fault of the
// server's.
var refusals = map[int]registry.Kind{
	http.StatusBadRequest:          registry.Malformed,
	http.StatusUnauthorized:        registry.Unauthenticated,
	http.StatusForbidden:           registry.Forbidden,
	http.StatusNotFound:            registry.NotFound,
	http.StatusGone:                registry.Gone,
	http.StatusUnprocessableEntity: registry.Invalid,
	http.StatusTooManyRequests:     registry.TooManyRequests,
	http.StatusServiceUnavailable:  registry.Unavailable,
}

var codeRE = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

// refusal is the error of an answer that is none.
func refusal(resp *http.Response) error {
	var problem struct {
		Code string `json:"code"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&problem); err != nil || !codeRE.MatchString(problem.Code) {
		problem.Code = "refused"
	}
	kind, ok := refusals[resp.StatusCode]
	if !ok {
		return fmt.Errorf("the feed's server answered with status %d (%s)", resp.StatusCode, problem.Code)
	}
	e := kind.Errorf(problem.Code, "the feed's server refused with status %d (%s)", resp.StatusCode, problem.Code)
	if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}
