package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// machine returns everything that networks change on the host, except the
// records of networks that are to stay.
func (w *world) machine() string {
	w.Helper()
	var out strings.Builder
	for _, line := range []string{"nft list ruleset", "ip -br link", "ip -br -4 addr", "ip -4 route show table all"} {
		fields := strings.Fields(line)
		text, err := exec.Command(fields[0], fields[1:]...).CombinedOutput()
		if err != nil {
			w.Fatalf("%s: %v: %s", line, err, text)
		}
		fmt.Fprintf(&out, "%s\n%s", line, text)
	}
	for _, path := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		fmt.Fprintf(&out, "%s %s", path, w.read("/proc/sys/net/"+path))
	}
	return out.String() + strings.Join(w.records(), "\n")
}

// records returns the records of endpoints and changes.
func (w *world) records() []string {
	files, _ := filepath.Glob(filepath.Join(w.root, "networks", "*", "endpoints", "*"))
	more, _ := filepath.Glob(filepath.Join(w.root, "networks", "changed*"))
	return append(files, more...)
}

func (w *world) sameMachine(before string) {
	w.Helper()
	if after := w.machine(); after != before {
		w.Errorf("the machine was\n%s\nand is\n%s", before, after)
	}
}

// A netns is a network namespace other than the host's.
type netns struct{ *os.File }

func newNetns(t testing.TB) netns {
	t.Helper()
	var ns netns
	err := apart(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		ns.File, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	ns.run(t, "ip link set lo up")
	return ns
}

// apart calls f on a thread that nothing uses afterwards.
func apart(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends
		done <- f()
	}()
	return <-done
}

// in calls f in the namespace; the zero netns is the host.
func (ns netns) in(f func() error) error {
	if ns.File == nil {
		return f()
	}
	return apart(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
}

// run runs a command line in the namespace.
func (ns netns) run(t testing.TB, line string) string {
	t.Helper()
	var out []byte
	fields := strings.Fields(line)
	err := ns.in(func() (err error) {
		out, err = exec.Command(fields[0], fields[1:]...).CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
	return string(out)
}

// get returns an HTTP server's response, or the error.
func (ns netns) get(at, path string) (answer string) {
	err := ns.in(func() error {
		c, err := net.DialTimeout("tcp", at, 10*time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(c, "GET %s HTTP/1.0\r\n\r\n", path)
		text, err := io.ReadAll(c)
		_, answer, _ = strings.Cut(string(text), "\r\n\r\n")
		return err
	})
	var late net.Error
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return "refused"
	case errors.As(err, &late) && late.Timeout():
		return "silence"
	case err != nil:
		return err.Error()
	}
	return strings.TrimSpace(answer)
}

const hostIP, lanIP = "192.0.2.1", "192.0.2.2"

// newLAN gives the host a link to a LAN with another machine on it.
func newLAN(t testing.TB) netns {
	t.Helper()
	lan := newNetns(t)
	host := netns{}
	host.run(t, fmt.Sprintf("ip link add up0 type veth peer name eth0 netns %d", lan.holder(t)))
	t.Cleanup(func() { host.run(t, "ip link del up0") })
	host.run(t, "ip addr add "+hostIP+"/24 dev up0")
	host.run(t, "ip link set up0 up")
	lan.run(t, "ip addr add "+lanIP+"/24 dev eth0")
	lan.run(t, "ip link set eth0 up")
	for end := time.Now().Add(patience); !strings.Contains(host.run(t, "ip link show up0"), "state UP"); {
		if time.Now().After(end) { // a worker of the kernel has to notice: operstates.rst
			t.Fatal("the link to the LAN does not come up")
		}
	}
	host.run(t, "ip route add default via "+lanIP)
	lan.run(t, "ip route add 172.16.0.0/12 via "+hostIP) // as a router on the LAN might
	return lan
}

// holder returns the id of a process in the namespace, by which ip(8)
// identifies it.
func (ns netns) holder(t testing.TB) int {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := ns.in(cmd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

// web starts a container that serves its host name, which is also its name.
func (w *world) web(name string, options ...string) {
	w.Helper()
	args := slices.Concat([]string{"run", "-d", "--name", name, "--hostname", name}, options, []string{"box", "httpd", "-f", "-p", "80", "-h", "/etc"})
	w.ok(args...)
	w.until(name+" serves", func() bool { return w.do("exec", name, "wget", "-qO-", "http://127.0.0.1/hostname").status == 0 })
}

// address returns a container's address on a network.
func (w *world) address(name, network string) string {
	w.Helper()
	return w.ok("inspect", "-f", `{{(index .NetworkSettings.Networks "`+network+`").IPAddress}}`, name)
}

// resolvers returns the process ids of the store's resolvers.
func (w *world) resolvers() (pids []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		if args := strings.Split(string(text), "\x00"); len(args) > 3 && args[1] == "resolver" && args[2] == w.root {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}
