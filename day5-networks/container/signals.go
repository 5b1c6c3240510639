package container

import (
	"errors"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/sirupsen/logrus"
)

// forwarded lists the signals that people send to a container on purpose.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM,
	syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGCONT,
}

// enough is how many times ^C must be pressed to kill a container that ignores
// it. Docker's client counts to three, too.
const enough = 3

// Signals catches the signals that are meant for the container's command.
type Signals struct {
	caught     chan os.Signal
	interrupts int
}

// CatchSignals must be called before anything is made, so that no signal can
// kill this program before it has cleaned up.
func CatchSignals() *Signals {
	s := &Signals{caught: make(chan os.Signal, 16)}
	for _, sig := range forwarded {
		if !signal.Ignored(sig) { // as nohup(1) wants
			signal.Notify(s.caught, sig)
		}
	}
	return s
}

// Release lets signals kill this program again.
func (s *Signals) Release() { signal.Stop(s.caught) }

// Caught delivers the signals.
func (s *Signals) Caught() <-chan os.Signal { return s.caught }

// Escalate returns the signal to send on: the same one, or SIGKILL if the user
// has had enough.
func (s *Signals) Escalate(sig os.Signal) os.Signal {
	if sig == syscall.SIGINT || sig == syscall.SIGTERM {
		s.interrupts++
	}
	if s.interrupts >= enough {
		logrus.Warnf("got %d interrupts, killing the container", s.interrupts)
		return syscall.SIGKILL
	}
	return sig
}

// forward passes a signal on to init.
func (s *Signals) forward(sig os.Signal, init *os.Process) {
	if err := init.Signal(s.Escalate(sig)); err != nil && !errors.Is(err, os.ErrProcessDone) {
		logrus.Warnf("forward %v to the container: %v", sig, err)
	}
}

// Forwards reports whether a signal to the container's PID 1 reaches the
// command. If PID 1 is our init, only those that it passes on do. SIGKILL ends
// everything.
func (c *Container) Forwards(sig syscall.Signal) bool {
	return !c.Init || sig == syscall.SIGKILL || slices.Contains(forwarded, os.Signal(sig))
}
