package decide_test

import (
	"errors"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/credenceproject/credence/internal/registry"
)

// bodies are what layers' own modules say after their package and import.
var bodies = []string{
	`deny contains "posts" if request.method == "POST"`,
	`deny contains code if { some code in ["Upper", "", 7, null, true, {"a": 1}, ["x"], "fine_code"]; request.method == "DELETE" }`,
	`deny contains 7 if request.resource.type == "skill"`,
	`allow contains "gold" if request.agent.labels.tier == "gold"`,
	`allow contains code if { some code in ["Not A Code", 7]; request.method != "" }`,
	`allow contains "all" if true`,
	`deny contains "late" if { [h, m, _] := time.clock([time.now_ns(), "Europe/Berlin"]); (h * 60) + m > 779 }

deny contains lower(time.weekday(time.now_ns())) if request.method == "HEAD"`,
	`deny contains "short_path" if count(request.path) < 2

deny contains "first" if request.path[0] == "a"

deny contains "all_x" if { every s in request.path { s == "x" } }`,
	`deny contains concat("", ["no_", replace(p, ":", "_")]) if { some p in request.agent.scopes; not p in request.permissions }`,
	`deny contains "expires" if request.agent.expires_at != null

deny contains "revoked" if request.agent.valid_after > 0

deny contains "soon" if request.agent.expires_at - time.now_ns() < 60000000000`,
	`deny contains "unknown_caller" if request.agent.id == ""

deny contains "unknown_resource" if request.resource.name == ""`,
	`open if request.resource.data_classification in {"public", "low"}

open if request.agent.agent_type == "batch"

deny contains "closed" if not open

allow contains "opened" if open`,
	`twice(x) := x + x

deny contains "many" if twice(count(request.permissions)) > 7`,
	`deny contains "undefined" if request.nothing.at.all

deny contains "by_zero" if 1 / count(request.resource.required_permissions) > 2

deny contains "astray" if request.path[10] == "x"`,
	`deny contains concat("", ["k_", k]) if { some k, v in request; is_array(v); count(v) == 0 }

deny contains concat("", ["l_", v]) if some v in request.resource.labels`,
	`deny contains concat("", ["code_", format_int(n, 10)]) if { some n in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35]; request.method == "GET" }`,
	`deny contains "whole" if { r := request; r.environment == "staging"; count(r.agent) == 10; count(r) == 7 }

deny contains "admits" if request.agent.team in request.resource.access.teams

deny contains "far" if not request.agent.environment in request.resource.environments`,
	`deny contains upper(request.method) if true`,
	`deny contains replace(concat("_", request.agent.scopes), ":", "_") if request.method == "HEAD"

deny contains replace(concat("_", request.permissions), ":", "_") if request.method == "GET"`,
	`note := "it has neither"`,
	refused,
}

// refused is a body that is not accepted.
const refused = `deny contains "refused" if true`

func module(d dice, key registry.LayerKey) string {
	return "package " + key.Package() + "\n\nimport data.mcp.request\n\nmeta := {\"author\": \"test\"}\n\n" + pick(d, bodies...) + "\n"
}

// accept parses a module as the registry does, and refuses those that say so.
func accept(key registry.LayerKey, source string) (*ast.Module, error) {
	if strings.Contains(source, refused) {
		return nil, errors.New("refused")
	}
	return ast.ParseModuleWithOpts(key.Module(), source, ast.ParserOptions{RegoVersion: ast.RegoV1})
}
