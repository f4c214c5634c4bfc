package main

import (
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A process that detaches and starts itself as it was started would do so for ever.
func TestWhatDetachesDoesNotDetachAgain(t *testing.T) {
	t.Parallel()
	for _, spelling := range []string{"--detach", "--detach=true", "--detach=1", "--detach=T"} {
		args := []string{"--port", "0", spelling, "--opa-port=0"}
		want := []string{"--port", "0", "--detached", "--opa-port=0"}
		got := detachedArgs(args)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", spelling, diff)
		}
		for given, detaches := range map[*[]string]bool{&args: true, &got: false} {
			cmd := devCommand(streams{out: io.Discard, err: io.Discard})
			if err := cmd.ParseFlags(*given); err != nil {
				t.Fatal(err)
			}
			if is, err := cmd.Flags().GetBool("detach"); err != nil || is != detaches {
				t.Errorf("%q detaches: %t, %v", *given, is, err)
			}
		}
	}
}
