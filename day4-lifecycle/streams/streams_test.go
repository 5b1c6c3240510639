package streams

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/wire"
)

// Somebody outside the container has its terminal open, and keeps it. That does not
// hold up the end.
func TestTerminalKeptOpen(t *testing.T) {
	s, err := Open(&container.Container{TTY: true}, false)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.OpenFile(s.Parent.Terminal.Name(), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Typed(wire.Size, []byte{0, 24, 0, 80}, true)
	s.Copy(nil, new(Clients))
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.Drain()
	}()
	select {
	case <-drained:
		_ = kept.Close()
	case <-time.After(time.Minute):
		t.Error("it is waited for, and may never come")
		_ = kept.Close() // which ends it
		<-drained
	}
}
