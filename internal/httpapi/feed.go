package httpapi

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/feed"
	"github.com/credenceproject/credence/internal/registry"
)

// GetSnapshot handles GET /snapshot.
func (s *Server) GetSnapshot(ctx context.Context, req api.GetSnapshotRequestObject) (api.GetSnapshotResponseObject, error) {
	answer, err := s.feed.Snapshot(ctx, authn.PrincipalFrom(ctx).Subject, req.Params.Scope)
	return feedResponse{answer, err, *s.age()}, nil
}

// GetChanges handles GET /changes.
func (s *Server) GetChanges(ctx context.Context, req api.GetChangesRequestObject) (api.GetChangesResponseObject, error) {
	since, err := feed.ParseHead(req.Params.Since)
	if err != nil {
		return nil, err
	}
	seconds := deref(req.Params.Wait)
	if seconds < 0 {
		return nil, registry.Invalid.Errorf(codeParameter, "wait must be a number of seconds, at most %d", int(feed.MaxWait.Seconds()))
	}
	wait := time.Duration(min(seconds, int(feed.MaxWait.Seconds()))) * time.Second
	answer, err := s.feed.Changes(ctx, authn.PrincipalFrom(ctx).Subject, req.Params.Scope, since, wait)
	return feedResponse{answer, err, *s.age()}, nil
}

// feedResponse is an answer of the feed that is written as it is made, or the error
// instead of one.
type feedResponse struct {
	answer feed.Answer
	err    error
	age    int // seconds
}

// VisitGetSnapshotResponse writes the answer to GET /snapshot.
func (r feedResponse) VisitGetSnapshotResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitGetChangesResponse writes the answer to GET /changes.
func (r feedResponse) VisitGetChangesResponse(w http.ResponseWriter) error { return r.write(w) }

func (r feedResponse) write(w http.ResponseWriter) error {
	if r.answer.Last {
		w.Header().Set("Connection", "close")
	}
	if r.err != nil {
		return r.err
	}
	w.Header().Set(echo.HeaderContentType, feed.MediaType)
	w.Header().Set(echo.HeaderCacheControl, "no-store")
	w.Header().Set("Age", strconv.Itoa(r.age))
	w.WriteHeader(http.StatusOK)
	buffered := bufio.NewWriterSize(newPatient(w), 64<<10)
	if err := r.answer.Write(buffered); err != nil {
		return err
	}
	return buffered.Flush()
}

const (
	// stall is how long a reader may take for what is written at once, and feedTimeout
	// for all of it: a reader that is slow holds on to an old state of the registry.
	stall       = 20 * time.Second
	feedTimeout = 2 * time.Minute
)

// patient writes to a reader that may be slow, within bounds.
type patient struct {
	w       http.ResponseWriter
	control *http.ResponseController
	end     time.Time
}

func newPatient(w http.ResponseWriter) *patient {
	return &patient{w: w, control: http.NewResponseController(w), end: time.Now().Add(feedTimeout)}
}

// Write implements io.Writer.
func (p *patient) Write(b []byte) (int, error) {
	deadline := time.Now().Add(stall)
	if deadline.After(p.end) {
		deadline = p.end
	}
	_ = p.control.SetWriteDeadline(deadline) // where there are no deadlines, nothing can stall
	return p.w.Write(b)
}
