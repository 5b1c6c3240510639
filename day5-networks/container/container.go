// Package container starts a process in new namespaces and sees it to its end.
// It grew from rung 11-pid-1, and day 2's 08-born-inside, and enters day 3's root, plus: a wait until the parent has everything
// ready, failures reported with the status they deserve, arguments byte for
// byte, a terminal, the choice of who is PID 1, nothing left behind.
package container

import (
	"fmt"
	"math/rand/v2"
	"os"

	"example.com/go-docker/day5-networks/cgroup"
	"example.com/go-docker/day5-networks/confine"
	"example.com/go-docker/day5-networks/rootfs"
)

// A Container is everything that init has to know. The parent sends it as JSON
// over a pipe, so arguments survive byte for byte and nothing of it shows in
// the environment or in ps.
type Container struct {
	ID         string // 12 hexadecimal digits, as Docker shows them
	Args       Strings
	Env        Strings
	Hostname   string
	Namespaces uintptr // flags of clone(2)
	TTY        bool    // -t: standard input, output and error are its terminal
	Init       bool    // keep our init as PID 1 (true), or let the command be it
	User       string  // as the container's passwd has it
	Dir        string  // to work in, absolute
	Root       *rootfs.Root
	Rlimits    []confine.Rlimit
	JoinsNet   bool // its network namespace is another container's
}

// A Parent is what only the parent has, and init need not know.
type Parent struct {
	Signals        *Signals
	Stdin          *os.File // nil: nothing to read
	Stdout, Stderr *os.File // nil: the parent's own
	Terminal       *os.File // with -t instead of these: the slave of a pseudo-terminal, pty(7)
	Cgroup         *cgroup.Cgroup
	Netns          *os.File // nil: the container's own, or the parent's; else another's
}

// NewID makes up an id. It has to be unique and need not be secret.
func NewID() string { return fmt.Sprintf("%012x", rand.Uint64()>>16) }

func (c *Container) has(namespace uintptr) bool { return c.Namespaces&namespace != 0 }
