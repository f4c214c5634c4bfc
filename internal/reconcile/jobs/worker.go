package jobs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/credenceproject/credence/internal/registry"
)

// periodicArgs name the job; they are in its row.
type periodicArgs struct {
	Job string `json:"job"`
}

// Kind is River's name for jobs of ours.
func (periodicArgs) Kind() string { return "credence_periodic" }

// worker does the jobs.
type worker struct {
	river.WorkerDefaults[periodicArgs]
	runner *Runner
}

// Timeout bounds one run.
func (w *worker) Timeout(job *river.Job[periodicArgs]) time.Duration {
	return w.runner.jobs[job.Args.Job].Timeout // 0, for a job of another release, is River's default
}

// Work does one run. Its error goes into a row: it holds what may be said outside
// the log.
func (w *worker) Work(ctx context.Context, job *river.Job[periodicArgs]) error {
	j, ok := w.runner.jobs[job.Args.Job]
	if !ok { // turned off here, or of another release
		return river.JobCancel(errors.New("this replica does not know the job"))
	}
	began := time.Now()
	err := w.do(ctx, j)
	if w.runner.o.Observer != nil {
		w.runner.o.Observer.ObserveJob(j.Name, time.Since(began), err)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled): // we were told to stop; the attempt does not count
		w.runner.o.Log.InfoContext(ctx, "a periodic job was cut short, another replica begins it anew", "job", j.Name)
		return river.JobSnooze(0)
	}
	w.runner.o.Log.ErrorContext(ctx, "a periodic job failed", "job", j.Name, "attempt", job.Attempt, "of", job.MaxAttempts, "error", err)
	return errors.New(publicText(err))
}

// do does the job. River would keep what somebody panicked with in a row.
func (w *worker) do(ctx context.Context, j Job) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %T\n%s", r, debug.Stack())
		}
	}()
	return j.Do(ctx)
}

// publicText is what may be said of err outside the log.
func publicText(err error) string {
	if e, ok := registry.AsError(err); ok {
		return e.Message
	}
	return "an internal error; the log says more"
}

// retryPolicy has a failed run repeated after half a minute, a minute, two, and
// so on, with jitter.
type retryPolicy struct{}

// NextRetry is when the job is to be run again.
func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	d := 15 * time.Second << min(max(job.Attempt, 1), 6)
	return time.Now().Add(d/2 + rand.N(d/2)) //nolint:gosec // jitter
}
