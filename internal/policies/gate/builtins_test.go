package gate

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// What is allowed is there, tells nobody and always says the same but for the clock.
func TestAllowedBuiltinsAreThoseOfThisOPA(t *testing.T) {
	t.Parallel()
	for name, b := range allowed {
		known := ast.BuiltinMap[name]
		if known == nil {
			t.Errorf("%s is no builtin of this OPA", name)
			continue
		}
		if known.Nondeterministic && known.Name != ast.NowNanos.Name || known.Relation || known.IsDeprecated() && name != "equal" {
			t.Errorf("%s is not for layers", name)
		}
		args := make([]bound, known.Decl.Arity())
		for i := range args {
			args[i] = texts.bound()
		}
		if steps := b.work(args); steps < 1 || b.result(args).bytes < 0 {
			t.Errorf("%s takes %v steps", name, steps)
		}
	}
}

// Those that brought a process down, or reach out of it, stay out (invariant E2).
func TestInvariant_E2_BuiltinsThatHarmAreNotAllowed(t *testing.T) {
	t.Parallel()
	capabilities := allowList()
	for _, b := range capabilities.Builtins {
		if _, ok := allowed[b.Name]; !ok && b.Name != "internal.test_case" {
			t.Errorf("%s is among the capabilities", b.Name)
		}
	}
	for _, name := range []string{
		"bits.lsh", "strings.render_template", "graphql.parse", "yaml.unmarshal", "crypto.sha256", "http.send", "net.lookup_ip_addr",
		"opa.runtime", "rego.parse_module", "rand.intn", "numbers.range", "walk", "sprintf", "print", "trace", "to_number", "io.jwt.decode",
	} {
		if _, ok := allowed[name]; ok || ast.BuiltinMap[name] == nil {
			t.Errorf("%s is allowed, or not there", name)
		}
	}
	if capabilities.AllowNet == nil || len(capabilities.AllowNet) > 0 {
		t.Errorf("hosts that may be asked: %v", capabilities.AllowNet)
	}
}
