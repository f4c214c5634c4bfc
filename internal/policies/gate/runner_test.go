package gate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestAChildSaysWhatTheGateSays(t *testing.T) {
	t.Parallel()
	for name, rego := range map[string]string{
		"accepted": begin + denyWrites,
		"refused":  begin + `deny contains "x" if bits.lsh(1, 20000000000) > 0`,
	} {
		want := Check(t.Context(), asked(rego, goodTests))
		got, err := runner(t, "gate", Options{}).Check(t.Context(), asked(rego, goodTests))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-here +in a child):\n%s", name, err, diff)
		}
	}
}

// Without the checks of the text the limits alone hold: a child dies, this process
// lives, and the author hears why.
func TestInvariant_E2_WhatKillsAChildIsTheAuthorsFaultAndHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	limit := map[string]time.Duration{"time": time.Second, "memory": 15 * time.Second}
	for name, tc := range map[string]struct{ rego, tests, want string }{
		"the shift of E2":       {rego: `deny contains "x" if bits.lsh(1, 20000000000) > 0`, want: "memory"},
		"the template of E2":    {rego: `deny contains "x" if ` + slowTemplate + ` == ""`, want: "time"},
		"the shift in a test":   {rego: denyWrites, tests: beginTests + "test_a if bits.lsh(1, 20000000000) > 0\n", want: "memory"},
		"a compiler that loops": {rego: "x := " + strings.Repeat("[1 | y := ", 30) + "1" + strings.Repeat("]", 30) + "\n" + denyWrites, want: "time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runner(t, "gate-open", Options{CPU: limit[tc.want], Memory: hard.Memory, Timeout: time.Minute})
			v, err := r.Check(t.Context(), asked(begin+tc.rego, tc.tests))
			if err != nil || len(v.Faults) != 1 || v.Faults[0].Rule != "too_expensive" || !strings.Contains(v.Faults[0].Message, tc.want) {
				t.Errorf("Check() = %+v, %v; want too much %s", v, err, tc.want)
			}
		})
	}
}

func TestAChildThatFailsByItselfIsNobodysFault(t *testing.T) {
	t.Parallel()
	for child, timeout := range map[string]time.Duration{"gate-panics": 0, "gate-babbles": 0, "gate-sleeps": 200 * time.Millisecond} {
		t.Run(child, func(t *testing.T) {
			t.Parallel()
			v, err := runner(t, child, Options{Timeout: timeout}).Check(t.Context(), asked(begin+denyWrites, ""))
			e, ok := registry.AsError(err)
			if !ok || e.Kind != registry.Unavailable || e.Code != "gate_failed" || e.RetryAfter == 0 || len(v.Faults) > 0 {
				t.Fatalf("Check() = %+v, %v; want Unavailable", v, err)
			}
			if strings.Contains(e.Message, "defect") {
				t.Errorf("the caller is shown %q", e.Message)
			}
			if child == "gate-panics" && !strings.Contains(err.Error(), "a defect of ours") {
				t.Errorf("the log is not shown why: %v", err)
			}
		})
	}
}

// What the other layers and the platform take is not the author's to answer for.
func TestAChildThatDiesOfOtherModulesIsNobodysFault(t *testing.T) {
	t.Parallel()
	r := NewRunner(Options{})
	died := child{err: errors.New("exit status 2"), out: &head{}, errs: &head{bytes: []byte("SIGXCPU: cpu limit exceeded\n")}}
	if v, err := r.verdict(died); err != nil || len(v.Faults) != 1 {
		t.Errorf("before others: %+v, %v", v, err)
	}
	died.out.bytes = []byte(`{"Others":true}` + "\n")
	if v, err := r.verdict(died); !errors.Is(err, registry.Unavailable) || len(v.Faults) > 0 {
		t.Errorf("with others: %+v, %v", v, err)
	}
}

func TestAChildDiesWithItsCaller(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := runner(t, "gate-sleeps", Options{}).Check(ctx, asked(begin+denyWrites, ""))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 10*time.Second {
		t.Errorf("Check() = %v after %v", err, time.Since(begun))
	}
}

func TestFewChildrenRunAtOnceAndNobodyWaitsForLong(t *testing.T) {
	t.Parallel()
	r := runner(t, "gate", Options{Children: 1, Wait: 20 * time.Millisecond})
	r.slots <- struct{}{} // somebody's check
	_, err := r.Check(t.Context(), asked(begin+denyWrites, ""))
	if e, ok := registry.AsError(err); !ok || e.Kind != registry.Unavailable || e.Code != "gate_busy" || e.RetryAfter == 0 {
		t.Errorf("Check() = %v; want gate_busy", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Check(ctx, asked(begin+denyWrites, "")); !errors.Is(err, context.Canceled) {
		t.Errorf("Check() = %v; want the caller's own end", err)
	}
	<-r.slots
	if _, err := r.Check(t.Context(), asked(begin+denyWrites, "")); err != nil {
		t.Errorf("Check() = %v once there is room", err)
	}
	if len(r.slots) != 0 {
		t.Errorf("%d slots are still taken", len(r.slots))
	}
}

func TestAChildHasNothingOfItsParents(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Log("elsewhere limits are the runtime's own")
		return
	}
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	inherited, err := syscall.Dup(int(file.Fd())) // as if this process had been started with it
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(inherited)
	c := runner(t, "gate-tells", Options{}).run(t.Context(), Request{})
	var got surroundings
	if err := json.Unmarshal(c.out.bytes, &got); err != nil {
		t.Fatalf("the child said %q, %q: %v", c.out.bytes, c.errs.bytes, err)
	}
	want := surroundings{
		Environment: []string{}, Directory: "/", OwnGroup: true,
		Limits: map[string]uint64{"core": 0, "fsize": 0, "nofile": openFiles, "cpu": 4, "data": 256 << 20},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("surroundings (-want +got):\n%s", diff)
	}
}

func TestAnAnswerIsReadToItsBoundOnly(t *testing.T) {
	t.Parallel()
	h := &head{limit: 5}
	if n, err := io.WriteString(h, "abc"); n != 3 || err != nil || h.cut {
		t.Errorf("Write() = %d, %v, %+v", n, err, h)
	}
	if n, err := io.WriteString(h, "defg"); n != 4 || err != nil || !h.cut || string(h.bytes) != "abcde" {
		t.Errorf("Write() = %d, %v, %+v", n, err, h)
	}
}

func BenchmarkChild(b *testing.B) {
	r := runner(b, "gate", Options{})
	for b.Loop() {
		if _, err := r.Check(b.Context(), asked(begin+denyWrites, "")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompileLayer(b *testing.B) {
	for b.Loop() {
		if _, err := CompileLayer(team, begin+denyWrites); err != nil {
			b.Fatal(err)
		}
	}
}
