package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dop251/goja"
)

// maxCallStack keeps endless recursion in JavaScript from filling memory.
const maxCallStack = 1000

// compileAction compiles an Action's code. It runs none of it.
func compileAction(code string) (*goja.Program, error) {
	return goja.Compile("action.js", code, false)
}

// outcome is what an Action decided.
type outcome struct {
	claims map[string]json.RawMessage
	denied *oauthError
}

// prelude makes the globals of an Action and the arguments of its handler. It is
// JavaScript so that all of an Action's code runs in one call, which the time
// limit ends: a nested call from Go would survive it. Only texts cross over.
var prelude = goja.MustCompile("prelude.js", `(function (native, eventText) {
	const stringify = JSON.stringify, text = String, none = function () {};
	const api = {};
	api.accessToken = { setCustomClaim: function (name, value) {
		const encoded = stringify(value);
		if (encoded !== undefined) native.claim(text(name), encoded);
		return api;
	} };
	api.access = { deny: function (code, reason) {
		native.deny(text(code), text(reason));
		return api;
	} };
	globalThis.console = { log: none, info: none, warn: none, error: none, debug: none };
	globalThis.module = { exports: {} };
	globalThis.exports = module.exports;
	return { event: JSON.parse(eventText), api: api };
})`, true)

// run executes the version in an interpreter of its own, which has no I/O: no
// require, no network, no timers. It is stopped after limit. The interpreter
// bounds time and recursion but not memory: Actions come from whoever holds the
// management credentials.
func (v version) run(event document, limit time.Duration) (result outcome, err error) {
	if v.program == nil {
		return outcome{}, errors.New("its code does not compile")
	}
	defer func() {
		if fault := recover(); fault != nil {
			result, err = outcome{}, fmt.Errorf("the interpreter failed: %v", fault)
		}
	}()
	vm := goja.New()
	vm.SetMaxCallStackSize(maxCallStack)
	timer := time.AfterFunc(limit, func() { vm.Interrupt("it ran for too long") })
	defer timer.Stop()

	arguments, err := prepare(vm, event, &result)
	if err != nil {
		return outcome{}, fmt.Errorf("preparing the interpreter: %w", err)
	}
	if _, err := vm.RunProgram(v.program); err != nil {
		return outcome{}, err
	}
	returned, err := callHandler(vm, arguments)
	if err != nil {
		return outcome{}, err
	}
	if err := settled(returned); err != nil {
		return outcome{}, err
	}
	return result, nil
}

// prepare runs the prelude. What the Action decides is written into result.
func prepare(vm *goja.Runtime, event document, result *outcome) (*goja.Object, error) {
	text, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	made, err := vm.RunProgram(prelude)
	if err != nil {
		return nil, err
	}
	start, ok := goja.AssertFunction(made)
	if !ok {
		return nil, errors.New("the prelude is not a function")
	}
	result.claims = map[string]json.RawMessage{}
	arguments, err := start(goja.Undefined(), vm.ToValue(map[string]any{
		"claim": func(name, value string) {
			if allowedClaim(name) {
				result.claims[name] = json.RawMessage(value)
			}
		},
		"deny": func(code, reason string) {
			if result.denied == nil {
				result.denied = denial(code, reason)
			}
		},
	}), vm.ToValue(string(text)))
	if err != nil {
		return nil, err
	}
	return arguments.ToObject(vm), nil
}

// callHandler calls what the Action exports for credentials-exchange.
func callHandler(vm *goja.Runtime, arguments *goja.Object) (goja.Value, error) {
	found, err := vm.RunString("module.exports.onExecuteCredentialsExchange")
	if err != nil {
		return nil, err
	}
	handler, ok := goja.AssertFunction(found)
	if !ok {
		return nil, errors.New("it exports no onExecuteCredentialsExchange")
	}
	return handler(goja.Undefined(), arguments.Get("event"), arguments.Get("api"))
}

// settled reports how the promise of an async handler ended. Nothing can still
// fulfil it: the interpreter has no timers.
func settled(returned goja.Value) error {
	promise, ok := returned.Export().(*goja.Promise)
	if !ok {
		return nil
	}
	switch promise.State() {
	case goja.PromiseStateRejected:
		return fmt.Errorf("%v", promise.Result())
	case goja.PromiseStatePending:
		return errors.New("it waits for something that never happens")
	}
	return nil
}

// allowedClaim refuses the names that Auth0 drops without a word: the token's
// own claims, and namespaces of Auth0 itself.
func allowedClaim(name string) bool {
	if slices.Contains(reservedClaims, name) || strings.HasPrefix(name, "urn:auth0") {
		return false
	}
	u, err := url.Parse(name)
	if err != nil {
		return true
	}
	host := strings.ToLower(u.Hostname())
	return !slices.ContainsFunc([]string{"auth0.com", "webtask.io", "webtask.run"}, func(domain string) bool {
		return host == domain || strings.HasSuffix(host, "."+domain)
	})
}

// denial is how the token endpoint tells what api.access.deny was given.
func denial(code, reason string) *oauthError {
	status := http.StatusBadRequest
	if code == "server_error" {
		status = http.StatusInternalServerError
	}
	return oauthErrorf(status, code, "%s", reason)
}
