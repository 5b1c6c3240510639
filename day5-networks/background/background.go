// Package background starts the process that answers for the names on a network:
// whoever connects its first container does. It is apart from that process's own
// code, resolver, so that shims need no DNS library.
//
// It grew from rung 09-names, plus: there is one, whoever else starts it at the
// same time, and it has a container's capabilities.
package background

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/confine"
	"example.com/go-docker/day5-networks/lock"
	"example.com/go-docker/day5-networks/netstate"
)

// What a resolver finds at its descriptors.
const (
	Lock    = 3 // the network's resolver.lock, held
	Events  = 4 // changes of the network's endpoints: inotify(7)
	Sockets = 5 // and what follows: at each gateway's address one of UDP and one of TCP
)

// Resolvers are ready to start. Until they do, each holds its network's
// resolver.lock, so nobody else starts one.
type Resolvers []resolver

type resolver struct {
	root    string
	network *netstate.Config
	files   []*os.File // the process's descriptors, from Lock on
}

// Prepare adds the network's resolver if it does not run: the process "PROGRAM
// resolver STORE ID", in our network namespace. The caller holds the networks' lock.
//
// Nearly all that can go wrong is done here, and nobody need wait for the process:
// questions that come before it is ready wait in its sockets.
func (all *Resolvers) Prepare(root string, c *netstate.Config) error {
	store := netstate.Store{Dir: filepath.Join(root, "networks")}
	var events *os.File
	var sockets []*os.File
	held, err := os.OpenFile(store.Path(c.ID, "resolver.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = lock.TryFile(held)
	}
	if err == nil {
		events, err = watch(store.Path(c.ID, "endpoints"))
	}
	if err == nil {
		sockets, err = bindSoon(c.Gateways)
	}
	files := append([]*os.File{held, events}, sockets...)
	if err == nil {
		*all = append(*all, resolver{root, c, files})
		return nil
	}
	closeAll(files)
	if errors.Is(err, lock.ErrHeld) {
		return nil // it runs
	}
	return fmt.Errorf("network %s: start its resolver: %w", c.Name, err)
}

// Start starts them, and tells by logrus if a process is too much: then the next
// command tries again.
func (all *Resolvers) Start() {
	for _, r := range *all {
		if err := r.spawn(); err != nil {
			logrus.Warnf("network %s: start its resolver: %v", r.network.Name, err)
		}
	}
	all.Close()
}

// Close gives up those that have not started.
func (all *Resolvers) Close() {
	for _, r := range *all {
		closeAll(r.files)
	}
	*all = nil
}

func (r resolver) spawn() error {
	// What our caller forgot to close, the resolver would keep open for long.
	// Kernels before 5.11 cannot say so.
	err := unix.CloseRange(3, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC)
	if err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("hide open descriptors: %w", err)
	}
	cmd := exec.Command("/proc/self/exe", "resolver", r.root, r.network.ID)
	cmd.Args[0] = filepath.Base(os.Args[0])
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.ExtraFiles = r.files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := startConfined(cmd); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // a zombie, should we outlive it
	return nil
}

// startConfined starts a process with the capabilities that containers have, and
// no more: it reads what anybody on a network may send.
func startConfined(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread, which has lost them, ends
		err := confine.DropCapabilities()
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}()
	return <-started
}
