// Package shim is the parent of one container: a process that stays when the
// command that started it has gone. It holds the container's lock, its standard
// streams and its log, learns its exit status, starts it again if that is
// wanted, and does for its clients what only a parent can.
//
// It grew from the steps 04-detached, 05-logs and 06-exec, plus: a socket on
// which it is asked things, terminals, attached clients, restarts.
//
// There is one for each container, and no daemon. A container never outlives
// its shim: it is the shim's child and dies with it, PR_SET_PDEATHSIG of
// prctl(2); the next command finds the lock free and tells what has happened.
package shim

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/cgroup"
	"example.com/go-docker/day5-networks/connection"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/inroot"
	"example.com/go-docker/day5-networks/inventory"
	"example.com/go-docker/day5-networks/logfile"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/streams"
	"example.com/go-docker/day5-networks/wire"
)

// What a shim finds at its descriptors.
const (
	lockFD   = 3 // the container's lock, which goes from Spawn's caller to it
	clientFD = 4 // a socket to that caller
)

// A shim starts before main, and before the packages start that it does not
// use: it should be small, there may be hundreds. container's init has seen to
// it that this is the main thread, and stays it.
func init() {
	if len(os.Args) == 4 && os.Args[1] == "shim" {
		syscall.Exit(run(os.Args[2], os.Args[3] == "attach"))
	}
}

// Spawn starts a shim for the container in dir, whose lock the caller has; it
// is the shim's from now on. The first message on the connection is a Reply:
// whether the container runs. With attach, what DoAttach gives follows. Signals
// to the process go to the container, also while it starts.
func Spawn(dir string, lock *os.File, attach bool) (*wire.Conn, *os.Process, error) {
	// What our caller forgot to close, the shim would keep open for ever.
	if err := container.HideDescriptors(); err != nil {
		return nil, nil, err
	}
	client, other, err := wire.Pair()
	if err != nil {
		return nil, nil, err
	}
	how := map[bool]string{false: "detach", true: "attach"}[attach]
	cmd := exec.Command("/proc/self/exe", "shim", dir, how)
	cmd.Args[0] = filepath.Base(os.Args[0])
	// Most of its life it has nothing to do. Go keeps some memory for each processor,
	// which is a third of all that a shim has with two of them.
	cmd.Env, cmd.Dir = []string{"GOGC=25", "GOMAXPROCS=1"}, "/"
	cmd.ExtraFiles = []*os.File{lock, other}
	// A session of its own has no terminal: no ^C and no hangup reaches it. Its
	// standard streams are /dev/null: exec.Cmd does that unless told otherwise.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := errors.Join(cmd.Start(), other.Close()); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("start the container's shim: %w", err), client.Close())
	}
	go func() { _ = cmd.Wait() }() // a zombie, should we outlive it
	return client, cmd.Process, nil
}

// A shim is what this process knows.
type shim struct {
	dir      string
	config   *state.Config
	log      *logfile.Writer
	listener *wire.Listener
	signals  *container.Signals
	clients  streams.Clients
	notes    wire.Notes
	busy     sync.WaitGroup // requests that come, and those that are still to be answered
	over     chan struct{}  // closed when the container has ended for good
	stopped  chan struct{}  // closed when somebody has asked for that, see last

	mu      sync.Mutex
	last    syscall.Signal // that was sent to end it for good; 0: none
	network *connection.Connection
	state   state.State
	process *container.Process // nil while the container does not run
	gone    chan struct{}      // closed when process has ended
	cgroup  *cgroup.Cgroup
	streams *streams.Streams
}

// run is all that a shim does. It returns the status to exit with, for nobody.
func run(dir string, attach bool) int {
	// Nobody but root, and nothing in the container, may look into this process:
	// for a moment a thread of it is in there, see package join.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	client, err := wire.FromDescriptor(clientFD)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error: a shim is started by run or start, not by hand:", err)
		return container.RuntimeError
	}
	unix.CloseOnExec(lockFD) // never closed: the kernel does that at our end
	// A script's command in the background ignores SIGINT, nohup(1)'s SIGHUP, and
	// execve(2) would pass that on to the container, which has neither to do with.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT)
	s := &shim{dir: dir, signals: container.CatchSignals(), over: make(chan struct{}), stopped: make(chan struct{})}
	logrus.AddHook(&s.notes)
	if err := s.open(); err != nil {
		reply(client, err, 0, container.RuntimeError)
		return container.RuntimeError
	}
	if attach {
		s.busy.Go(func() { s.attach(client, true) })
	}
	s.live(client, attach)
	return 0
}

// open gets ready all that does not change from one start to the next.
func (s *shim) open() error {
	now, err := state.Settle(s.dir)
	if err != nil {
		return err
	}
	s.state = *now
	if s.config, err = state.ReadConfig(s.dir); err != nil {
		return err
	}
	if err := s.state.Claim(os.Getpid()); err != nil {
		return err
	}
	if s.network, err = connection.Open(s.dir, s.config.Container.ID, s.config.Container.Hostname); err != nil {
		return err
	}
	if s.log, err = logfile.Create(filepath.Join(s.dir, state.LogFile), s.config.Log); err != nil {
		return err
	}
	s.listener, err = wire.Listen(filepath.Join(s.dir, state.SocketFile))
	return err
}

// live runs the container until it is not to be started again.
func (s *shim) live(client *wire.Conn, attached bool) {
	s.state.Restarts = 0
	s.busy.Go(s.serve)
	var pause time.Duration
	for first := true; ; first = false {
		err := s.start()
		if first {
			// It may be dead, which is no concern of the container's.
			reply(client, err, 0, container.RuntimeError, s.notes.Take()...)
			if !attached {
				_ = client.Close()
			}
			if err != nil {
				break
			}
		}
		ran := time.Duration(0)
		if err == nil {
			s.streams.Copy(s.log, &s.clients)
			s.wait()
			ran = s.state.FinishedAt.Sub(s.state.StartedAt)
		}
		if pause = state.Pause(pause, ran); !s.again(pause) {
			break
		}
	}
	s.end()
}

// end tells everybody and removes what is to be removed.
func (s *shim) end() {
	_ = s.listener.Close()
	_ = s.log.Close()
	// First its description, so that what is left after a crash is not a container
	// any more. The next command removes that.
	ran := !s.state.StartedAt.IsZero()
	if s.config.AutoRemove && ran && os.Remove(filepath.Join(s.dir, inventory.Description)) == nil {
		_ = inroot.RemoveAll(s.dir)
	}
	s.network.LetGo()
	close(s.over)
	answered := make(chan struct{})
	go func() {
		s.busy.Wait()
		close(answered)
	}()
	select {
	case <-answered:
	case <-time.After(5 * time.Second): // somebody does not read
	}
	_ = s.network.Close() // what is left, the next command removes
}
