package container

import (
	"errors"
	"os"
	"os/signal"
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
	// If the reader of our output goes away, SIGPIPE would kill us, too. Caught
	// and not read, it lets the write fail instead.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	for _, sig := range forwarded {
		if !signal.Ignored(sig) { // as nohup(1) wants
			signal.Notify(s.caught, sig)
		}
	}
	return s
}

// forward passes a signal on to init.
func (s *Signals) forward(sig os.Signal, init *os.Process) {
	if sig == syscall.SIGINT || sig == syscall.SIGTERM {
		s.interrupts++
	}
	if s.interrupts >= enough {
		logrus.Warnf("got %d interrupts, killing the container", s.interrupts)
		sig = syscall.SIGKILL
	}
	if err := init.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		logrus.Warnf("forward %v to the container: %v", sig, err)
	}
}
