package lifecycle

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/containers"
	"example.com/go-docker/day5-networks/inventory"
	"example.com/go-docker/day5-networks/join"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/wire"
)

// While exec waits for its answer, a signal comes, and then the container ends. What
// comes of the answer must not change the container under who handles the signal.
func TestExecSignalled(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, inventory.Lock), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := state.Write(dir, &state.State{Status: state.Exited}); err != nil {
		t.Fatal(err)
	}
	listener, err := wire.Listen(filepath.Join(dir, state.SocketFile))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	signals := container.CatchSignals()
	defer signals.Release()
	go func() { // a shim
		conn, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if _, _, err := conn.Receive(); err != nil {
			t.Error(err)
		}
		for len(signals.Caught()) > 0 { // until it has been taken
			time.Sleep(time.Millisecond)
		}
	}()
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	for len(signals.Caught()) == 0 {
		time.Sleep(time.Millisecond)
	}
	running := &state.State{Status: state.Running, ShimPID: os.Getpid()}
	c := &Container{&containers.Container{ID: "x", Dir: dir}, running}
	if conn, err := c.Exec(join.Command{}, [3]*os.File{os.Stdin, os.Stdout, os.Stderr}, signals); conn != nil || !errors.Is(err, ErrNotRunning) {
		t.Errorf("%v, %v", conn, err)
	}
	if c.State != running {
		t.Errorf("its state has become %+v", c.State)
	}
}
