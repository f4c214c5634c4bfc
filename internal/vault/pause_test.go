package vault

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A pause between two attempts is cut short by the end of the context.
func TestInvariant_C2_APauseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const left = 10 * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), left)
		defer cancel()
		start := time.Now()
		for attempt := range 20 {
			if pause(ctx, attempt+1) {
				t.Fatalf("attempt %d is made after the end of the context", attempt+1)
			}
		}
		if took := time.Since(start); took != left {
			t.Errorf("paused for %s, want %s", took, left)
		}
	})
}
