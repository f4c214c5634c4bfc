package registry_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestAnErrorIsItsKindAndItsCause(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("register: %w", registry.Unavailable.Wrap(io.ErrUnexpectedEOF, "provider_away", "the provider is away"))
	for target, want := range map[error]bool{
		registry.Unavailable: true, io.ErrUnexpectedEOF: true, registry.NotFound: false, io.EOF: false,
	} {
		if got := errors.Is(err, target); got != want {
			t.Errorf("errors.Is(err, %v) = %t, want %t", target, got, want)
		}
	}
	if bare := registry.NotFound.Errorf("not_found", "there is no %s", "agent"); !errors.Is(bare, registry.NotFound) || errors.Is(bare, registry.Conflict) {
		t.Errorf("%v is of the wrong kind", bare)
	}
}

func TestTheCauseIsInTheLogsTextButNotInTheMessage(t *testing.T) {
	t.Parallel()
	err := registry.Refused.Wrap(errors.New("raw words of a provider"), "refused", "the provider said no")
	if got, want := err.Error(), "the provider said no: raw words of a provider"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if got, want := err.Message, "the provider said no"; got != want {
		t.Errorf("Message = %q, want %q", got, want)
	}
	if got, want := registry.NotFound.Errorf("not_found", "there is no %q", "x").Error(), `there is no "x"`; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

func TestAsErrorFindsTheFirstErrorOfTheChain(t *testing.T) {
	t.Parallel()
	inner := registry.NotFound.Errorf("not_found", "it is not there")
	outer := registry.Unavailable.Wrap(fmt.Errorf("look: %w", inner), "unavailable", "we could not look")
	for name, tc := range map[string]struct {
		err  error
		want *registry.Error
	}{
		"itself":           {inner, inner},
		"wrapped":          {fmt.Errorf("read: %w", inner), inner},
		"joined":           {errors.Join(io.EOF, inner), inner},
		"the outer of two": {fmt.Errorf("read: %w", outer), outer},
		"none":             {io.EOF, nil},
		"a kind alone":     {registry.NotFound, nil},
		"nil":              {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := registry.AsError(tc.err)
			if got != tc.want || ok != (tc.want != nil) {
				t.Errorf("AsError() = %v, %t; want %v", got, ok, tc.want)
			}
		})
	}
}

func TestWithLeavesTheOriginalAsItIs(t *testing.T) {
	t.Parallel()
	name := registry.FieldError{Pointer: "/name", Code: "pattern", Detail: "is no name"}
	team := registry.FieldError{Pointer: "/team", Code: "required", Detail: "is missing"}
	base := &registry.Error{
		Kind: registry.Invalid, Code: "invalid", Message: "it is wrong", RetryAfter: time.Second, Err: io.EOF,
		Fields: append(make([]registry.FieldError, 0, 8), name), // room for an append that would write into it
	}
	one, two := base.With(team), base.With(name)

	if diff := cmp.Diff([]registry.FieldError{name}, base.Fields); diff != "" {
		t.Errorf("the original (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]registry.FieldError{name, team}, one.Fields); diff != "" {
		t.Errorf("the first copy (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]registry.FieldError{name, name}, two.Fields); diff != "" {
		t.Errorf("the second copy (-want +got):\n%s", diff)
	}
	one.Fields = nil
	if diff := cmp.Diff(registry.Error{Kind: registry.Invalid, Code: "invalid", Message: "it is wrong", RetryAfter: time.Second}, *one,
		cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Err" }, cmp.Ignore())); diff != "" {
		t.Errorf("the rest of the copy (-want +got):\n%s", diff)
	}
	if !errors.Is(two, registry.Invalid) || !errors.Is(two, io.EOF) {
		t.Error("a copy lost its kind or its cause")
	}
}
