//go:build !linux

package gate

// limitProcess does nothing here: the parent's timeout and the runtime's own limit of
// memory bound the child.
func limitProcess(limits) error { return nil }

// closeInherited does nothing here.
func closeInherited() error { return nil }
