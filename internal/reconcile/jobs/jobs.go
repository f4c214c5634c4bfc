// Package jobs runs what is periodic: expiry, sweeps, retention. River
// (riverqueue/river) elects one leader among the replicas, which notes each job
// when it is due; any replica works it. What follows from a change is no job: it
// is in the agent's row, and the loop of package reconcile finds it there.
//
// River keeps jobs and what became of them in rows of a schema of its own. Their
// arguments are a job's name, and their errors are texts of ours: no secret and no
// provider's words reach a row (invariant D2).
package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// Schema is where River's tables are.
const Schema = "river"

// Job is something to do again and again, by one replica at a time.
type Job struct {
	Name    string        // letters and underscores, the same in each release
	Every   time.Duration // once in each period of this length
	Timeout time.Duration // of one run; default 1 min
	// Do does it. Where it fails it is tried again soon, Attempts times in all,
	// and then in the next period. When the runner is told to stop ctx ends at once:
	// Do returns then, and some replica begins anew.
	Do       func(ctx context.Context) error
	Attempts int // default 1
}

// Observer hears how jobs go. It must be safe for concurrent use.
type Observer interface {
	// ObserveJob says that a run of the job took so long and ended with err.
	ObserveJob(name string, took time.Duration, err error)
}

// Options of a Runner.
type Options struct {
	Pool     *pgxpool.Pool // River's schema is in its database; see Migrate
	Jobs     []Job
	Observer Observer // may be nil
	Log      *slog.Logger
}

// Runner runs periodic jobs. It is to be Run once.
type Runner struct {
	o    Options
	jobs map[string]Job
}

// NewRunner returns a Runner that does nothing until Run. It fails when a job is
// not usable.
func NewRunner(o Options) (*Runner, error) {
	r := &Runner{o: o, jobs: make(map[string]Job, len(o.Jobs))}
	for _, j := range o.Jobs {
		j.Timeout, j.Attempts = cmp.Or(j.Timeout, time.Minute), cmp.Or(j.Attempts, 1)
		if _, twice := r.jobs[j.Name]; twice || j.Name == "" || j.Every <= 0 || j.Do == nil {
			return nil, fmt.Errorf("job %q: each needs a name of its own, a period and something to do", j.Name)
		}
		r.jobs[j.Name] = j
	}
	return r, nil
}

// Run runs the jobs until ctx ends. It cuts short those that are under way then,
// and returns when they have ended. It always returns nil: while the database is
// away, or has not been migrated, it tries again.
func (r *Runner) Run(ctx context.Context) error {
	if len(r.jobs) == 0 {
		<-ctx.Done()
		return nil
	}
	client := r.startPatiently(ctx)
	<-ctx.Done()
	if client != nil {
		<-client.Stopped()
	}
	return nil
}

// startPatiently starts River as soon as that can be done; it returns nil when ctx
// ends first.
func (r *Runner) startPatiently(ctx context.Context) *river.Client[pgx.Tx] {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		client, err := r.start(ctx)
		if err == nil {
			return client
		}
		if attempt == 0 && ctx.Err() == nil { // once an outage
			r.o.Log.WarnContext(ctx, "periodic jobs cannot be run yet, trying again", "error", err)
		}
		pause(ctx, attempt)
	}
	return nil
}

// pause waits before the next attempt to start: a second, and at most sixteen.
func pause(ctx context.Context, attempt int) {
	d := time.Second << min(attempt, 4)
	t := time.NewTimer(d/2 + rand.N(d/2)) //nolint:gosec // jitter
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// start starts River. It works until ctx ends. Without a SoftStopTimeout the runs
// end with it: a sweep of many agents takes longer than anybody waits for a process,
// and each job can be begun anew.
func (r *Runner) start(ctx context.Context) (*river.Client[pgx.Tx], error) {
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &worker{runner: r}); err != nil {
		return nil, fmt.Errorf("add the worker: %w", err)
	}
	client, err := river.NewClient(riverpgxv5.New(r.o.Pool), &river.Config{
		Schema:       Schema,
		Queues:       map[string]river.QueueConfig{queue: {MaxWorkers: len(r.jobs)}},
		Workers:      workers,
		PeriodicJobs: r.periodic(),
		Logger:       slog.New(newQuiet(r.o.Log.Handler())),

		// New jobs are told of by NOTIFY; this finds those that nobody heard of.
		FetchPollInterval: fetchEvery,
		// A job is rescued only when it can no longer be under way.
		JobTimeout:           time.Minute,
		RescueStuckJobsAfter: r.longest() + rescueMargin,
		RetryPolicy:          retryPolicy{},

		// Rows are kept as long as uniqueness needs them, and for people to look at.
		CompletedJobRetentionPeriod: max(retention, 2*r.longestPeriod()),
		CancelledJobRetentionPeriod: retention,
		DiscardedJobRetentionPeriod: 7 * retention,

		// The server's role owns no table, and may not rebuild an index.
		ReindexerSchedule: river.NeverSchedule(),
	})
	if err != nil {
		return nil, fmt.Errorf("prepare River: %w", err)
	}
	if err := ready(ctx, r.o.Pool); err != nil {
		return nil, err
	}
	if err := client.Start(ctx); err != nil {
		return nil, fmt.Errorf("start River: %w", err)
	}
	return client, nil
}

const (
	queue        = "credence"
	fetchEvery   = 15 * time.Second
	rescueMargin = time.Minute
	retention    = 24 * time.Hour
)

func (r *Runner) longest() (d time.Duration) {
	for _, j := range r.jobs {
		d = max(d, j.Timeout)
	}
	return d
}

func (r *Runner) longestPeriod() (d time.Duration) {
	for _, j := range r.jobs {
		d = max(d, j.Every)
	}
	return d
}

// periodic says when jobs are due. River's schedules live in the leader's memory
// and begin anew with each leader: so each job is due at once then, and that it
// was done already in the present period keeps it from being done twice.
func (r *Runner) periodic() []*river.PeriodicJob {
	jobs := make([]*river.PeriodicJob, 0, len(r.o.Jobs))
	for _, j := range r.o.Jobs {
		insert := &river.InsertOpts{Queue: queue, MaxAttempts: r.jobs[j.Name].Attempts}
		if j.Every >= time.Second { // River's least period
			insert.UniqueOpts = river.UniqueOpts{ByArgs: true, ByPeriod: j.Every}
		}
		jobs = append(jobs, river.NewPeriodicJob(river.PeriodicInterval(j.Every),
			func() (river.JobArgs, *river.InsertOpts) { return periodicArgs{Job: j.Name}, insert },
			&river.PeriodicJobOpts{ID: j.Name, RunOnStart: true}))
	}
	return jobs
}

const readySQL = `SELECT to_regclass($1) IS NOT NULL`

// ready fails when the database has no tables of River's. River itself would start
// and complain for ever.
func ready(ctx context.Context, pool *pgxpool.Pool) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var there bool
	if err := pool.QueryRow(ctx, readySQL, Schema+".river_job").Scan(&there); err != nil {
		return fmt.Errorf("look for River's tables: %w", err)
	}
	if !there {
		return errors.New("the database has no tables of River's; run credence migrate")
	}
	return nil
}
