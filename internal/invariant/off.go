//go:build !invariant && !race

package invariant

import "time"

// On tells whether the checks are compiled in.
const On = false

// Check does nothing in this build.
func Check(bool, string, ...any) {}

// Mangle does nothing in this build.
func Mangle([]byte) {}

// Timer is time.Timer in this build.
type Timer = time.Timer

// Timers counts nothing in this build.
func Timers() int { return 0 }

// AfterFunc is time.AfterFunc in this build.
func AfterFunc(d time.Duration, f func()) *Timer { return time.AfterFunc(d, f) }
