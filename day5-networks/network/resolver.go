package network

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
)

// What a resolver finds at its descriptors.
const (
	ResolverLock   = 3 // the network's resolver.lock, held
	ResolverReport = 4 // a pipe: nothing says that it answers, else why it does not
)

// patience is how long a resolver may take to bind its addresses.
const patience = 10 * time.Second

// startResolver starts the network's resolver if it does not run: the process
// "PROGRAM resolver STORE ID", in our network namespace. The caller holds the
// networks' lock.
func (n *Networks) startResolver(c *Config) error {
	held, err := os.OpenFile(n.store.Path(c.ID, "resolver.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("network %s: start its resolver: %w", c.Name, err)
	}
	defer held.Close()
	if err := lock.TryFile(held); errors.Is(err, lock.ErrHeld) {
		return nil // it runs
	} else if err != nil {
		return fmt.Errorf("network %s: start its resolver: %w", c.Name, err)
	}
	if err := n.spawnResolver(c, held); err != nil {
		return fmt.Errorf("network %s: start its resolver: %w", c.Name, err)
	}
	return nil
}

func (n *Networks) spawnResolver(c *Config, held *os.File) error {
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
	cmd := exec.Command("/proc/self/exe", "resolver", n.root, c.ID)
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
	if err == nil && len(report) > 0 {
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

// OnRecord returns the endpoints on the network with this ID, without asking
// whether their owners live.
func (n *Networks) OnRecord(id string) ([]Endpoint, error) {
	records, err := n.store.ReadRecords(id)
	if err != nil {
		return nil, err
	}
	var endpoints []Endpoint
	for _, r := range records {
		if !r.Pending() {
			endpoints = append(endpoints, r.Endpoint)
		}
	}
	return endpoints, nil
}

// RecordsDir is where the records of a network's endpoints are.
func (n *Networks) RecordsDir(id string) string { return n.store.Path(id, "endpoints") }

// EndResolver ends the network's resolver if nobody alive is on the network: it
// calls end while nobody can be connected, and tells whether it has.
func (n *Networks) EndResolver(id string, end func()) (bool, error) {
	if _, err := os.Stat(n.RecordsDir(id)); err != nil {
		end() // the network has gone, or the store
		return true, nil
	}
	s, err := n.store.Begin()
	if err != nil {
		return false, err
	}
	defer s.End()
	for _, r := range s.Records {
		if r.Network != id {
			continue
		}
		if alive, err := r.Alive(); alive || err != nil {
			return false, err
		}
	}
	end()
	return true, nil
}
