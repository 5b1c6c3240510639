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

// Start starts the network's resolver if it does not run: the process
// "PROGRAM resolver STORE ID", in our network namespace. The caller holds the
// networks' lock.
//
// All that can go wrong is done here, and nobody waits for the process: questions
// that come before it is ready wait in its sockets.
func Start(root string, c *netstate.Config) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("network %s: start its resolver: %w", c.Name, err)
		}
	}()
	store := netstate.Store{Dir: filepath.Join(root, "networks")}
	held, err := os.OpenFile(store.Path(c.ID, "resolver.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := lock.TryFile(held); errors.Is(err, lock.ErrHeld) {
		return nil // it runs
	} else if err != nil {
		return err
	}
	events, err := watch(store.Path(c.ID, "endpoints"))
	if err != nil {
		return err
	}
	defer events.Close()
	sockets, err := bindSoon(c.Gateways)
	if err != nil {
		return err
	}
	defer closeAll(sockets)
	return spawn(root, c, append([]*os.File{held, events}, sockets...))
}

func spawn(root string, c *netstate.Config, files []*os.File) error {
	// What our caller forgot to close, the resolver would keep open for long.
	if err := unix.CloseRange(3, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC); err != nil { // Linux 5.11, as for containers
		return fmt.Errorf("hide open descriptors: %w", err)
	}
	cmd := exec.Command("/proc/self/exe", "resolver", root, c.ID)
	cmd.Args[0] = filepath.Base(os.Args[0])
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.ExtraFiles = files
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
