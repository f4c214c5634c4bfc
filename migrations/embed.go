// Package migrations holds the database schema as goose SQL files, applied in
// order by "credence migrate" and by the test database. Each runs with the code
// before it and the code after it, since replicas are replaced one by one.
package migrations

import "embed"

// FS holds the migrations.
//
//go:embed *.sql
var FS embed.FS
