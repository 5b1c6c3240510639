// Package container starts a process in new namespaces and looks after it until
// it ends. It grew from rung 11-pid-1 and adds a wait until the parent has
// everything ready, Docker's exit status for each failure, arguments passed
// byte for byte, a terminal, a choice of PID 1, and cleanup on every path.
package container

import (
	"fmt"
	"math/rand/v2"
	"os"
)

// A Container is everything that init needs to know. The parent sends it as
// JSON over a pipe, so that arguments survive byte for byte and none of it
// shows up in the environment or in ps.
type Container struct {
	ID         string // 12 hexadecimal digits, as Docker shows them
	Args       byteStrings
	Env        byteStrings
	Hostname   string
	Namespaces uintptr // clone(2) flags
	TTY        bool    // -t: a terminal of its own
	Init       bool    // true: our init is PID 1; false: the command is
}

// A Parent holds what only the parent needs and init does not.
type Parent struct {
	Signals        *Signals
	Stdin          *os.File // nil: no input
	Stdout, Stderr *os.File // nil: the parent's own
}

// NewID makes up an id. It must be unique but need not be secret.
func NewID() string { return fmt.Sprintf("%012x", rand.Uint64()>>16) }

func (c *Container) has(namespace uintptr) bool { return c.Namespaces&namespace != 0 }
