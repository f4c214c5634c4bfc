package gate

import (
	"os"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/policy"
)

var team = registry.LayerKey{Tier: registry.TierTeam, ID: "customer-success"}

// begin is what every module of that layer begins with. Bodies begin on line 7.
const begin = `package mcp.layers.team["customer-success"]

import data.mcp.request

meta := {"owner": "customer-success"}

`

const (
	denyWrites = `deny contains "read_only" if request.method in {"POST", "PUT"}` + "\n"

	beginTests = `package mcp.layers.team["customer-success_test"]

import data.mcp.layers.team["customer-success"] as layer
import data.mcp.request

`
)

func asked(rego, tests string) Request {
	return Request{Layer: team, Rego: rego, Tests: tests, Platform: policy.Platform().Modules}
}

// runner runs this program as the child that does what.
func runner(t testing.TB, what string, o Options) *Runner {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.Command = []string{program, what}
	return NewRunner(o)
}

// said is a fault as tables have it: the message is a part of the whole one.
type said struct {
	file, rule string
	line       int
	message    string
}

func (s said) isOf(f Fault) bool {
	file := s.file
	if file == "" {
		file = FileRego
	}
	return f.File == file && f.Rule == s.rule && f.Line == s.line && strings.Contains(f.Message, s.message)
}

func repeated(n int, format func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(format(i) + "\n")
	}
	return b.String()
}
