package decide

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"

	"github.com/credenceproject/credence/internal/registry"
)

// requestModule is data.mcp.request for layers, each field made when it is first
// read. It is rules that read the store, and not the store's own data, as what a rule
// finds in a list or an object then is what it finds beside the platform's own rules:
// stores take the key "0" for the index 0.
const requestModule = `package mcp.request

method := data.request.method

path := data.request.path

subject := data.request.subject

permissions := data.request.permissions

environment := data.request.environment

agent := data.request.agent

resource := data.request.resource
`

// requests is the store that requestModule reads. It has no data of its own: each
// transaction is a request. It is safe for concurrent use; a transaction is not.
type requests struct {
	storage.WritesNotSupported
	storage.PolicyNotSupported
	storage.TriggersNotSupported
}

var _ storage.Store = requests{}

// request is a call as layers are shown it: the same fields whatever is known, each
// made when it is first read.
type request struct {
	call   *call // nil: there is no data
	fields map[string]ast.Value
}

// ID implements storage.Transaction. What a transaction reads is in it.
func (*request) ID() uint64 { return 0 }

// NewTransaction implements storage.Store with a transaction that has no data, in
// which a query is prepared. Evaluations bring one of their own.
func (requests) NewTransaction(context.Context, ...storage.TransactionParams) (storage.Transaction, error) {
	return &request{}, nil
}

// Commit implements storage.Store.
func (requests) Commit(context.Context, storage.Transaction) error { return nil }

// Abort implements storage.Store.
func (requests) Abort(context.Context, storage.Transaction) {}

// Truncate implements storage.Store, which cannot be written.
func (r requests) Truncate(ctx context.Context, txn storage.Transaction, _ storage.TransactionParams, _ storage.Iterator) error {
	return r.Write(ctx, txn, storage.AddOp, storage.RootPath, nil)
}

var errNotFound = &storage.Error{Code: storage.NotFoundErr, Message: "document does not exist"}

// Read implements storage.Store. It answers values of OPA's own types.
func (requests) Read(_ context.Context, txn storage.Transaction, path storage.Path) (any, error) {
	r, ok := txn.(*request)
	if !ok {
		return nil, &storage.Error{Code: storage.InvalidTransactionErr, Message: "not a transaction of this store"}
	}
	if r.call == nil || len(path) != 2 || path[0] != "request" {
		return nil, errNotFound
	}
	name := path[1]
	value, ok := r.fields[name]
	if ok {
		return value, nil
	}
	if value = r.call.field(name); value == nil {
		return nil, errNotFound
	}
	if r.fields == nil {
		r.fields = map[string]ast.Value{}
	}
	r.fields[name] = value
	return value, nil
}

// field makes a field of the request, nil where there is none of that name.
func (c *call) field(name string) ast.Value {
	switch name {
	case "method":
		return ast.String(c.method)
	case "path":
		return list(c.path)
	case "subject":
		return ast.String(c.token.subject)
	case "permissions":
		return list(c.permissions)
	case "environment":
		return ast.String(c.environment.Name)
	case "agent":
		return agentValue(c.agent, c.agentEnvironment())
	case "resource":
		return resourceValue(c.resource)
	default:
		return nil
	}
}

// agentValue is the agent, or one of empty fields.
func agentValue(a registry.AgentFacts, environment string) ast.Value {
	return ast.NewObject(
		named("id", a.ID), named("name", a.Name), named("team", a.Team), named("agent_type", a.AgentType), named("environment", environment),
		item("suspended", ast.Boolean(a.Suspended)), item("scopes", list(set(a.Scopes))),
		item("expires_at", momentValue(a.ExpiresAt)), item("valid_after", momentValue(a.ValidAfter)), item("labels", labels(a.Labels)),
	)
}

func resourceValue(r registry.ResourceFacts) ast.Value {
	return ast.NewObject(
		named("name", r.Name), named("type", string(r.Type)), named("team", r.Team), named("data_classification", r.DataClassification),
		item("required_permissions", list(r.RequiredPermissions)), item("environments", list(r.Environments)), item("labels", labels(r.Labels)),
		item("access", ast.NewObject(
			named("visibility", r.Access.Visibility), item("teams", list(r.Access.Teams)), item("agent_types", list(r.Access.AgentTypes)),
		)),
	)
}

func item(name string, v ast.Value) [2]*ast.Term {
	return ast.Item(ast.InternedTerm(name), ast.NewTerm(v))
}

func named(name, value string) [2]*ast.Term { return item(name, ast.String(value)) }

func list(all []string) ast.Value {
	terms := make([]*ast.Term, len(all))
	for i, s := range all {
		terms[i] = ast.StringTerm(text(s))
	}
	return ast.NewArray(terms...)
}

func labels(m map[string]string) ast.Value {
	items := make([][2]*ast.Term, 0, len(m))
	for name, value := range m {
		items = append(items, ast.Item(ast.StringTerm(name), ast.StringTerm(value)))
	}
	return ast.NewObject(items...)
}

// set is s as bundles have sets: sorted, each once.
func set(s []string) []string { return slices.Compact(slices.Sorted(slices.Values(s))) }

func momentValue(t time.Time) ast.Value {
	ns, said := moment(t)
	if !said {
		return ast.NullValue
	}
	return ast.Number(strconv.FormatInt(ns, 10))
}
