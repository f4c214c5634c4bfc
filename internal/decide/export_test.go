package decide

import "time"

// SetLimit bounds the evaluation of a layer's own Rego otherwise than usual.
func SetLimit(d *Decider, limit time.Duration) { d.limit = limit }

// IsCode reports whether a reason may have the code.
func IsCode(s string) bool { return isCode(s) }
