package network

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/lock"
)

// Who joins starts the resolver when he likes: questions wait for it meanwhile, and
// nobody else starts one. If he gives it up, the next command starts it.
func TestResolverWaits(t *testing.T) {
	w := newWorld(t)
	a := w.box("a")
	e, resolvers, err := w.networks.Join(a.File, a.Owner, []Attachment{{Network: DefaultName}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resolvers.Close()
	held := func() bool {
		file, err := lock.Probe(w.networks.store.Path(e[0].Network, "resolver.lock"))
		if err == nil {
			file.Close()
		} else if !errors.Is(err, lock.ErrHeld) {
			t.Fatal(err)
		}
		return err != nil
	}
	server := at(e[0].DNS, 53)
	for _, protocol := range []string{"udp", "tcp"} {
		c, err := net.Dial(protocol, server)
		if err != nil {
			t.Fatal(protocol, err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		// An unbound port's answer, which comes at once over this machine's own lo, is
		// an error here.
		if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if n, err := c.Read(make([]byte, 9)); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s: a question gets %d bytes, %v; it should wait", protocol, n, err)
		}
	}
	w.box("b").on(Attachment{Network: DefaultName})
	if len(resolvers) != 1 || !held() {
		t.Errorf("%d resolvers are ready to start, and the lock is held: %t", len(resolvers), held())
	}
	resolvers.Close()
	if held() {
		t.Error("the lock is held by nobody")
	}
	if c, err := net.Dial("tcp", server); !errors.Is(err, unix.ECONNREFUSED) {
		t.Error("nobody is there, and who asks gets", c, err)
	}
	if err := w.networks.Recover(); err != nil {
		t.Fatal(err)
	}
	// The stand-in ends at once. What is left to see is that it has changed hands.
	for end := time.Now().Add(30 * time.Second); held(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the resolver's stand-in goes on")
		}
	}
}

// A start that fails gives up its resolver, or the next one would not get it.
func TestNoResolverAfterFailure(t *testing.T) {
	w := newWorld(t)
	a := w.box("a")
	fault = func(point string) {
		if point == "links" { // the end in the container is taken from us
			a.run(t, "ip", "link", "del", "eth0")
		}
	}
	_, resolvers, err := w.networks.Join(a.File, a.Owner, []Attachment{{Network: DefaultName}}, nil)
	fault = func(string) {}
	if err == nil || len(resolvers) != 0 {
		t.Fatalf("%d resolvers and no error: %v", len(resolvers), err)
	}
	_, resolvers, err = w.networks.Join(a.File, a.Owner, []Attachment{{Network: DefaultName}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resolvers.Close()
	if len(resolvers) != 1 {
		t.Errorf("%d resolvers are ready to start", len(resolvers))
	}
}
