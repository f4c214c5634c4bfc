package httpapi

import (
	"testing"
	"time"
)

func TestPreferredWait(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]time.Duration{
		"modes=snapshot,delta;wait=30":        30 * time.Second, // as OPA sends it
		"modes=snapshot,delta":                0,
		"wait=30":                             30 * time.Second,
		"respond-async, wait=10":              10 * time.Second,
		"respond-async; foo=bar ,\twait = 10": 10 * time.Second,
		"WAIT=10":                             10 * time.Second,
		`wait="10"`:                           10 * time.Second,
		`foo="a, wait=3", wait=7`:             7 * time.Second,
		`foo="\", wait=3", wait=7`:            7 * time.Second,
		"wait=5, wait=10":                     5 * time.Second, // the first counts
		"wait=x, wait=10":                     0,
		"wait=55":                             55 * time.Second,
		"wait=56":                             55 * time.Second,
		"wait=99999999999999999999":           55 * time.Second,
		"wait=0":                              0,
		"wait=-1":                             0,
		"wait=+1":                             0,
		"wait=1.5":                            0,
		"wait=1s":                             0,
		"wait=0x10":                           0,
		"wait=":                               0,
		"wait":                                0,
		`wait="`:                              0,
		`wait=""`:                             0,
		"waiting=30":                          0,
		"return=minimal":                      0,
		`foo="unterminated, wait=7`:           0,
		"":                                    0,
		" , ;; ,wait=1":                       time.Second,
	} {
		if got := preferredWait(field); got != want {
			t.Errorf("%s: %s, want %s", field, got, want)
		}
	}
}
