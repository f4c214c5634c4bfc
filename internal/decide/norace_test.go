//go:build !race

package decide_test

const usualCases = 100_000
