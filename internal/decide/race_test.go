//go:build race

package decide_test

// usualCases are fewer with the race detector, which makes the Rego ten times slower
// and has nothing to find in it.
const usualCases = 10_000
