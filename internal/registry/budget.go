package registry

// RateLimit is how much of something may be had: a bucket that holds Burst at
// most and is filled by PerSecond.
type RateLimit struct {
	PerSecond float64 // above 0
	Burst     int     // at least 1
}
