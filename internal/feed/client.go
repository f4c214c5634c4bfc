package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/credenceproject/credence/internal/netrule"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// ClientOptions say which scope of which server a Client follows. URL, Scope, Token
// and HTTP are required.
type ClientOptions struct {
	// URL is the server's address, with the path prefix if it has one. It is https;
	// http is for this machine alone, since a token travels along.
	URL   string
	Scope string
	// Token returns the bearer token of the next request. It is called once for each,
	// from several goroutines.
	Token func(context.Context) (string, error)
	// HTTP sends the requests. It has no timeout of its own and follows no redirects:
	// apiclient.HTTPClient makes such a one.
	HTTP *http.Client
	// Wait is how long the server is asked to hold an answer, in whole seconds.
	// Default 50 s.
	Wait      time.Duration
	UserAgent string
}

// Client follows a scope of somebody else's registry for one snapshot.Follower,
// whose sessions it opens:
//
//	snapshot.Options{Connect: client.Connect, Scoped: true, CheckEvery: 10 * time.Second, …}
//
// One session holds a question at the server; what it hears the other one takes
// over, so that a change comes with one answer. The follower is never taken back: a
// server that knows less than another one has told is not listened to. The follower
// logs what fails and goes on; after a refusal with 401 or 403 too, with the token
// that Token returns then. It is safe for concurrent use.
type Client struct {
	base *url.URL
	o    ClientOptions

	mu        sync.Mutex
	at        registry.Head   // what the follower has
	lost      error           // why the follower has to load; nil: at leads on
	news      *answer         // what was heard after at and not taken over yet
	moved     chan struct{}   // closed, and replaced, when at is loaded
	left      map[string]bool // epochs that were left
	confirmed time.Time       // when a server last led on from at, or told of it
}

// NewClient returns a client; it does not call the server. It fails when the URL is
// no address to send a token to, or something is missing.
func NewClient(o ClientOptions) (*Client, error) {
	base, err := netrule.URL(o.URL, false)
	if err != nil {
		return nil, fmt.Errorf("the address of the feed %w", err)
	}
	if o.Token == nil || o.HTTP == nil || !registry.ValidName(o.Scope) {
		return nil, errors.New("a follower of the feed needs a token, an HTTP client and the name of a scope")
	}
	o.Wait = min(cmp.Or(o.Wait.Truncate(time.Second), 50*time.Second), MaxWait)
	o.UserAgent = cmp.Or(o.UserAgent, "credence")
	return &Client{base: base, o: o, lost: snapshot.ErrStartAgain, moved: make(chan struct{}), left: map[string]bool{}}, nil
}

// Connect opens a session, as snapshot.Options wants it. It calls nobody.
func (c *Client) Connect(context.Context) (snapshot.Session, error) { return &session{c: c}, nil }

// position is what the follower has, or the error, with snapshot.ErrStartAgain in
// its chain, for which it has to load.
func (c *Client) position() (registry.Head, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at, c.lost
}

// newest is what the follower has or is about to have, once there is such a state.
// It returns the error of ctx when that ends first.
func (c *Client) newest(ctx context.Context) (registry.Head, error) {
	for {
		c.mu.Lock()
		at, lost, moved := c.at, c.lost, c.moved
		if c.news != nil {
			at = c.news.upTo
		}
		c.mu.Unlock()
		if lost == nil {
			return at, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return registry.Head{}, ctx.Err()
		}
	}
}

// hear keeps what was heard until it is taken over.
func (c *Client) hear(a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.news != nil && c.news.upTo == a.since && len(c.news.changes)+len(a.changes) <= maxChanges {
		a = answer{since: c.news.since, changes: append(c.news.changes[:len(c.news.changes):len(c.news.changes)], a.changes...), upTo: a.upTo}
	}
	c.news = &a
}

// takeOver returns what was heard after what the follower has, if anything was.
func (c *Client) takeOver() (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.news == nil || c.lost != nil {
		return answer{}, false
	}
	a := *c.news
	c.news = nil
	return a.after(c.at)
}

// advance notes that the follower has the state. That it had another one shows in
// its next question.
func (c *Client) advance(at registry.Head) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// doubtFor is for how long after a server knew what the follower has no other one is
// believed that does not.
const doubtFor = 2 * time.Second

// lose notes that a server knows no changes that lead on from the state, and returns
// the error for it. Of several servers one may say so for long, as one that lags
// does: a follower that was just led on asks again, and perhaps another one.
func (c *Client) lose(at registry.Head, why error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.confirmed) < doubtFor {
		return registry.Unavailable.Wrap(why, "changes_gone", "the server does not know what changed since "+FormatHead(at))
	}
	why = fmt.Errorf("%w: %w", snapshot.ErrStartAgain, why)
	if c.at == at || (c.news != nil && c.news.upTo == at) {
		c.lost, c.news = why, nil
	}
	return why
}

// confirmedFor is how long an epoch that was left is not gone back to after a server
// knew the present one: who still knows the other lags. Once nobody has known the
// present one for that long, it is the other that counts.
const confirmedFor = 30 * time.Second

// acceptable returns Unavailable unless the state may be loaded: of two servers the
// one that knows less must not take the follower back.
func (c *Client) acceptable(h registry.Head) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	over := c.left[h.Epoch] && time.Since(c.confirmed) < confirmedFor
	if over || h.Epoch == c.at.Epoch && h.Revision < c.at.Revision {
		return registry.Unavailable.Errorf("registry_behind", "the server knows %s, which is older than %s", FormatHead(h), FormatHead(c.at))
	}
	return nil
}

// confirm notes that a server led on from a state of the epoch.
func (c *Client) confirm(epoch string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.Epoch == epoch {
		c.confirmed = time.Now()
	}
}

// loaded notes that the follower loads the state.
func (c *Client) loaded(at registry.Head) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.Epoch != "" && c.at.Epoch != at.Epoch {
		c.left[c.at.Epoch] = true
	}
	delete(c.left, at.Epoch)
	c.at, c.lost, c.news, c.confirmed = at, nil, nil, time.Now()
	close(c.moved)
	c.moved = make(chan struct{})
}
