package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A resolver whose sockets have been closed, as by ss -K, is of no use: it
// ends, and the next command starts another.
func TestResolverWithoutSockets(t *testing.T) {
	w := newWorld(t)
	w.web("web")
	w.until("the resolver runs", func() bool { return len(w.resolvers()) == 1 }) // nobody waits for its process
	pid, _ := strconv.Atoi(w.resolvers()[0])
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(process)
	closed := false
	for fd := 0; fd < 32 && !closed; fd++ {
		socket, err := unix.PidfdGetfd(process, fd, 0)
		if errors.Is(err, unix.EBADF) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if listens, err := unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && listens == 1 {
			closed = true
			if err := unix.Shutdown(socket, unix.SHUT_RDWR); err != nil {
				t.Error(err)
			}
		}
		unix.Close(socket)
	}
	if !closed {
		t.Fatal("the resolver has no socket that listens")
	}
	w.until("the resolver has ended", func() bool { return !alive(pid) })
	w.ok("ps")
	if got := w.ok("exec", "web", "wget", "-qO-", "http://web/hostname"); got != "web" {
		t.Errorf("%q", got)
	}
}

// Mistakes on the command line give a single line, before anything is made.
func TestNetworkFlagsRefused(t *testing.T) {
	w := newWorld(t)
	for _, test := range [][]string{
		{"no host's address", "-p", "224.0.0.1:80:80"},
		{"no host's address", "-p", "255.255.255.255:80:80"},
		{"invalid --dns", "--dns", "fe80::1%a\nnameserver 192.0.2.66"},
		{"invalid --dns", "--dns", "fe80::1%a b"},
		{"invalid --network", "--network", "container:"},
		{"invalid alias", "--network-alias", strings.Repeat("a", 64)},
		{"invalid alias", "--network-alias", "a."},
		{"of a single host", "--mac-address", "01:00:5e:00:00:01"},
		{"of a single host", "--mac-address", "00:00:00:00:00:00"},
	} {
		w.fails(125, test[0], append(append([]string{"run"}, test[1:]...), "box", "true")...)
	}
	for _, test := range [][]string{
		{"there is one already", "--subnet", "10.9.0.0/24", "--gateway", "10.9.0.1", "--gateway", "10.9.0.2"},
		{"there is one already", "--subnet", "10.9.0.0/24", "--ip-range", "10.9.0.0/25", "--ip-range", "10.9.0.128/25"},
		{"a meaning of their own", "--subnet", "::ffff:10.9.0.0/120"},
		{"a meaning of their own", "--subnet", "126.0.0.0/7"},
	} {
		w.fails(1, test[0], append(append([]string{"network", "create"}, test[1:]...), "bad")...)
	}
	id := w.ok("network", "create", "other")
	damaged := filepath.Join(w.root, "networks", id, "network.json")
	text := w.read(damaged)
	if err := os.WriteFile(damaged, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(125, damaged, "run", "--network", "other", "box", "true") // not that there is no such network
	if err := os.WriteFile(damaged, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(1, "already exists", "network", "create", id) // whose would network rm ID remove?
	w.ok("network", "rm", "other")
	if got := w.ok("network", "ls") + w.ok("ps", "-aq"); strings.Contains(got, "bad") {
		t.Errorf("made: %s", got)
	}
}

// On a full disk a container is not connected without a record: the error is
// true, and so is what commands report afterwards.
func TestConnectOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("small", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	w := newWorldAt(t, filepath.Join(dir, "store"))
	w.web("web", "-p", "8080:80")
	w.ok("network", "disconnect", "bridge", "web")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 24<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	w.fails(1, "no space left", "network", "connect", "bridge", "web")
	if got := w.ok("exec", "web", "ls", "/sys/class/net"); strings.Contains(got, "eth0") {
		t.Errorf("links: %q", got)
	}
	if got := w.ok("ps", "--format", "{{.Ports}}") + strings.Join(w.records(), " "); got != "" {
		t.Errorf("published, or on record: %q", got)
	}
	if got := (netns{}).get("127.0.0.1:8080", "/hostname"); got != "refused" {
		t.Errorf("%q", got)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	w.ok("network", "connect", "bridge", "web")
	if got := (netns{}).get("127.0.0.1:8080", "/hostname"); got != "web" {
		t.Errorf("%q", got)
	}
}
