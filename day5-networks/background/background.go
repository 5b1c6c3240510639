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
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/confine"
	"example.com/go-docker/day5-networks/lock"
	"example.com/go-docker/day5-networks/netstate"
)

// What a resolver finds at its descriptors.
const (
	Lock   = 3 // the network's resolver.lock, held
	Report = 4 // a pipe, for Ready, or why it cannot answer
)

// Ready is what a resolver reports when it answers.
const Ready = "ready"

// patience is how long a resolver may take to bind its addresses.
const patience = 10 * time.Second

// Start starts the network's resolver if it does not run: the process
// "PROGRAM resolver STORE ID", in our network namespace. The caller holds the
// networks' lock.
func Start(root string, c *netstate.Config) error {
	path := netstate.Store{Dir: filepath.Join(root, "networks")}.Path(c.ID, "resolver.lock")
	held, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("network %s: start its resolver: %w", c.Name, err)
	}
	defer held.Close()
	if err := lock.TryFile(held); errors.Is(err, lock.ErrHeld) {
		return nil // it runs
	} else if err != nil {
		return fmt.Errorf("network %s: start its resolver: %w", c.Name, err)
	}
	if err := spawn(root, c, held); err != nil {
		return fmt.Errorf("network %s: start its resolver: %w", c.Name, err)
	}
	return nil
}

func spawn(root string, c *netstate.Config, held *os.File) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	// What our caller forgot to close, the resolver would keep open for long.
	// Kernels before 5.11 cannot say so.
	err = unix.CloseRange(3, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC)
	if err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
		return errors.Join(fmt.Errorf("hide open descriptors: %w", err), w.Close())
	}
	cmd := exec.Command("/proc/self/exe", "resolver", root, c.ID)
	cmd.Args[0] = filepath.Base(os.Args[0])
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.ExtraFiles = []*os.File{held, w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := errors.Join(startConfined(cmd), w.Close()); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // a zombie, should we outlive it
	_ = r.SetReadDeadline(time.Now().Add(patience))
	report, err := io.ReadAll(r)
	switch {
	case err != nil || string(report) == Ready:
	case len(report) == 0:
		err = errors.New("it ended without a word")
	default:
		err = errors.New(string(report))
	}
	if err != nil {
		_ = cmd.Process.Kill() // it may have ended
	}
	return err
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
