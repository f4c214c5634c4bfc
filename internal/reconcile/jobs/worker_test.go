package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// A job that another release noted, or that is turned off here, is not tried again
// and again.
func TestAJobThatNobodyKnowsIsCancelled(t *testing.T) {
	t.Parallel()
	w := &worker{runner: &Runner{jobs: map[string]Job{}}}
	err := w.Work(t.Context(), &river.Job[periodicArgs]{Args: periodicArgs{Job: "of_tomorrow"}})
	if _, cancelled := errors.AsType[*rivertype.JobCancelError](err); !cancelled {
		t.Errorf("Work() = %v, want that it is cancelled", err)
	}
}

func TestRetriesComeLaterAndLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for attempt, most := range map[int]time.Duration{
			0: 30 * time.Second, 1: 30 * time.Second, 2: time.Minute, 3: 2 * time.Minute, 6: 16 * time.Minute, 1000: 16 * time.Minute,
		} {
			in := time.Until(retryPolicy{}.NextRetry(&rivertype.JobRow{Attempt: attempt}))
			if in < most/2 || in > most {
				t.Errorf("attempt %d is repeated in %s, want half to all of %s", attempt, in, most)
			}
		}
	})
}

// While the database is away River complains every second, about each of its
// parts.
func TestRiversWarningsAreToldOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := slog.New(newQuiet(slog.NewTextHandler(&b, nil)))
		elector, fetcher := log.With("part", "elector"), log.WithGroup("g")
		for range 150 {
			log.InfoContext(t.Context(), "hello")
			elector.WarnContext(t.Context(), "cannot elect")
			fetcher.ErrorContext(t.Context(), "cannot fetch")
			time.Sleep(time.Second)
		}
		for text, want := range map[string]int{"hello": 0, "cannot elect": 3, "cannot fetch": 3, "part=elector": 3} {
			if got := strings.Count(b.String(), text); got != want {
				t.Errorf("%q was told %d times in 150 s, want %d", text, got, want)
			}
		}
	})
}

func TestTheLongestRunAndPeriodBoundWhatIsKept(t *testing.T) {
	t.Parallel()
	r := &Runner{jobs: map[string]Job{"a": {Timeout: time.Minute, Every: time.Hour}, "b": {Timeout: time.Hour, Every: 48 * time.Hour}}}
	if got := fmt.Sprint(r.longest(), r.longestPeriod()); got != "1h0m0s 48h0m0s" {
		t.Errorf("the longest run and period are %s", got)
	}
}
