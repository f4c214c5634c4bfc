package decisions

import (
	"context"

	"github.com/open-policy-agent/opa/v1/storage"

	"github.com/credenceproject/credence/internal/snapshot"
)

// store lets policy read views. It has no data of its own: each transaction
// reads the view that it was made with, so one prepared query serves all views.
// To hand each decision only its own agent and resource would be as cheap, and
// wrong for a policy that looks at others.
// It is safe for concurrent use; a transaction is not.
type store struct {
	storage.WritesNotSupported
	storage.PolicyNotSupported
	storage.TriggersNotSupported
}

var _ storage.Store = store{}

// transaction is the reading of one environment's data at one view.
type transaction struct {
	view        *snapshot.View // nil: there is no data
	environment string
	records     map[recordKey]any // made so far: policy reads them field by field
}

func newTransaction(v *snapshot.View, environment string) *transaction {
	return &transaction{view: v, environment: environment, records: map[recordKey]any{}}
}

// ID implements storage.Transaction. Nothing depends on it: what a transaction
// reads is in it.
func (t *transaction) ID() uint64 { return 0 }

// NewTransaction implements storage.Store with a transaction that has no data,
// in which a query is prepared. Evaluations bring one of their own.
func (store) NewTransaction(context.Context, ...storage.TransactionParams) (storage.Transaction, error) {
	return newTransaction(nil, ""), nil
}

// Read implements storage.Store. It finds what a store would that had loaded the
// bundle of the transaction's environment, and fails as that does.
func (store) Read(ctx context.Context, txn storage.Transaction, path storage.Path) (any, error) {
	t, ok := txn.(*transaction)
	if !ok {
		return nil, &storage.Error{Code: storage.InvalidTransactionErr, Message: "not a transaction of this store"}
	}
	return t.read(ctx, path)
}

// Commit implements storage.Store.
func (store) Commit(context.Context, storage.Transaction) error { return nil }

// Abort implements storage.Store.
func (store) Abort(context.Context, storage.Transaction) {}

// Truncate implements storage.Store, which cannot be written.
func (s store) Truncate(ctx context.Context, txn storage.Transaction, _ storage.TransactionParams, _ storage.Iterator) error {
	return s.Write(ctx, txn, storage.AddOp, storage.RootPath, nil)
}
