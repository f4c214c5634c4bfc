package emulator

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

// limiter is a token bucket that tells its state in Auth0's headers. The nil
// limiter allows everything and sets no header.
type limiter struct {
	bucket *rate.Limiter
	rate   Rate
}

func newLimiter(r Rate) *limiter {
	if r == (Rate{}) {
		return nil
	}
	return &limiter{bucket: rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst), rate: r}
}

// allow takes one request and sets x-ratelimit-limit, -remaining and -reset; the
// last is in UNIX seconds, and one more request is allowed from then on.
func (l *limiter) allow(h http.Header, now time.Time) bool {
	if l == nil {
		return true
	}
	ok := l.bucket.AllowN(now, 1)
	left := max(0, l.bucket.TokensAt(now))
	wait := (math.Floor(left) + 1 - left) / float64(l.rate.PerSecond)
	reset := now.Add(time.Duration(wait * float64(time.Second)))
	h.Set("x-ratelimit-limit", strconv.Itoa(l.rate.Burst))
	h.Set("x-ratelimit-remaining", strconv.Itoa(int(left)))
	h.Set("x-ratelimit-reset", strconv.FormatInt(int64(math.Ceil(float64(reset.UnixNano())/1e9)), 10))
	return ok
}
