package emulator

import "time"

// SetActionTimeLimit shortens the time that an Action may take.
func (e *Emulator) SetActionTimeLimit(d time.Duration) { e.actionTimeLimit = d }
