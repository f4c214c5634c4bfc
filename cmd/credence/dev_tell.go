package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// teller writes what a person sees of a dev system. On a terminal it uses a
// little colour.
type teller struct {
	w      io.Writer
	colour bool
}

func newTeller(w io.Writer) *teller {
	f, ok := w.(*os.File)
	if !ok {
		return &teller{w: w}
	}
	info, err := f.Stat()
	return &teller{w: w, colour: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (t *teller) paint(code, s string) string {
	if !t.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (t *teller) line(s string) { fmt.Fprintln(t.w, s) }

func (t *teller) title(s string) { fmt.Fprintf(t.w, "\n%s\n", t.paint("1", s)) }

// step says what begins; the function it returns says how long it took.
func (t *teller) step(what string) (done func()) {
	began := time.Now()
	fmt.Fprintf(t.w, "  %-58s", what)
	return func() { fmt.Fprintf(t.w, " %s %5.1f s\n", t.paint("32", "ok"), time.Since(began).Seconds()) }
}

func (t *teller) fact(name, value string) { fmt.Fprintf(t.w, "  %-36s %s\n", name, value) }

func (t *teller) allowed(what, how string) {
	fmt.Fprintf(t.w, "  %s %s\n          %s\n", t.paint("32", "allowed"), what, how)
}

func (t *teller) denied(what, why string) {
	fmt.Fprintf(t.w, "  %s  %s\n          %s\n", t.paint("31", "denied"), what, why)
}

// addresses ends the story: where everything is, what to try, and what stops it.
func (t *teller) addresses(info devInfo, state devState, took time.Duration, stop string) {
	t.title(fmt.Sprintf("Ready in %.1f s. %s stops all of it.", took.Seconds(), stop))
	t.fact("API", info.API+"  (contract: "+info.API+"/openapi.yaml)")
	t.fact("Metrics", info.Metrics+"/metrics")
	t.fact("Auth0 (emulated)", info.Issuer)
	t.fact("Vault (OpenBao)", info.Vault.Address)
	t.fact("OPA", info.OPA)
	t.fact("Bundle", info.Bundles[0])
	t.fact("Tokens and the rest, for scripts", state.infoFile())
	t.title("Try it, in another terminal of this directory")
	t.line("  bin/credence agent list")
	t.line("  bin/credence check " + demoAgent + " POST " + demoSkill)
	t.line("  bin/credence agent register --name my-agent --team " + devTeam + " --type support --environment staging --owner me@example.com")
	t.line("  curl -s -H \"Authorization: Bearer $(bin/credence token --as developer)\" " + info.API + "/agents/" + demoAgent)
}
