// Package container starts a process in new namespaces, in a root of its own,
// and looks after it until it ends. It grew from rung 11-pid-1 and day 2's
// 08-born-inside, enters day 3's root, and adds a wait until the parent has
// everything ready, Docker's exit status for each failure, arguments passed
// byte for byte, a terminal, a choice of PID 1, and cleanup on every path.
package container

import (
	"fmt"
	"math/rand/v2"
	"os"

	"example.com/go-docker/day5-networks/cgroup"
	"example.com/go-docker/day5-networks/confine"
	"example.com/go-docker/day5-networks/rootfs"
)

// A Container is everything that init needs to know. The parent sends it as
// JSON over a pipe, so that arguments survive byte for byte and none of it
// shows up in the environment or in ps.
type Container struct {
	ID        string // 12 hexadecimal digits, as Docker shows them
	Args      Strings
	Env       Strings
	Hostname  string
	TTY       bool   // -t: standard input, output and error are its terminal
	Init      bool   // true: our init is PID 1; false: the command is
	User      string // as in the container's passwd
	Root      *rootfs.Root
	Rlimits   []confine.Rlimit
	SharesNet bool // its network namespace is the host's or another container's
}

// A Parent holds what only the parent needs and init does not.
type Parent struct {
	Signals        *Signals
	Stdin          *os.File // nil: no input
	Stdout, Stderr *os.File // nil: the parent's own
	Terminal       *os.File // instead of these with -t: the slave of a pseudo-terminal, pty(7)
	Cgroup         *cgroup.Cgroup
	Netns          *os.File // another container's; nil: its own, or the parent's
}

// NewID makes up an id. It must be unique but need not be secret.
func NewID() string { return fmt.Sprintf("%012x", rand.Uint64()>>16) }
