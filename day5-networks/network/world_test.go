package network

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/ports"
)

const boxed = "GO_DOCKER_TEST_BOX"

// patience is for what must come, on a machine that is busy.
const patience = 30 * time.Second

// inTime tries until it is done; a failure takes patience.
func inTime(done func() bool) bool {
	for end := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// TestMain runs the tests in network and mount namespaces of their own: there
// the test process is the host, and no packet and no rule is anywhere else.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		if os.Getenv("GO_DOCKER_MUST_RUN") == "1" {
			fmt.Fprintln(os.Stderr, "the tests of network need root")
			os.Exit(1)
		}
		fmt.Println("skipped: the tests of network need root")
		return
	}
	if len(os.Args) == 4 && os.Args[1] == "resolver" { // the program's would serve names
		os.Exit(0)
	}
	if os.Getenv(boxed) == "" {
		os.Exit(enterBox())
	}
	if child := os.Getenv("GO_DOCKER_TEST_CHILD"); child != "" {
		os.Exit(runChild(child))
	}
	if err := up("lo"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func enterBox() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), boxed+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "start the tests in namespaces:", err)
		return 1
	}
	return cmd.ProcessState.ExitCode() & 0xff
}

func up(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// A netns is a network namespace that is not the host's.
type netns struct {
	*os.File
}

func newNetns(t testing.TB) netns {
	t.Helper()
	var ns netns
	err := apart(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		ns.File, err = os.Open("/proc/thread-self/ns/net")
		return errors.Join(err, up("lo"))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

// apart calls f on a thread that nobody uses afterwards.
func apart(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends
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

// run runs a program in the namespace.
func (ns netns) run(t testing.TB, name string, args ...string) string {
	t.Helper()
	var out []byte
	err := ns.in(func() (err error) {
		out, err = exec.Command(name, args...).CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return string(out)
}

// serve answers on a port, TCP and UDP, IPv4 and IPv6, with who it is and who
// asks, until the test ends.
func (ns netns) serve(t testing.TB, port int, who string) {
	t.Helper()
	var tcp net.Listener
	var udp net.PacketConn
	// The resolvers' stand-ins have their port until they have ended.
	var err error
	inTime(func() bool {
		err = ns.in(func() (err error) {
			if tcp, err = net.Listen("tcp", fmt.Sprintf(":%d", port)); err != nil {
				return err
			}
			if udp, err = net.ListenPacket("udp", fmt.Sprintf(":%d", port)); err != nil {
				tcp.Close()
			}
			return err
		})
		return !errors.Is(err, unix.EADDRINUSE)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close(); udp.Close() })
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(c, "%s to %s", who, c.RemoteAddr())
			c.Close()
		}
	}()
	go func() {
		for buf := make([]byte, 100); ; {
			_, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = udp.WriteTo([]byte(who+" to "+from.String()), from)
		}
	}()
}

// ask returns what is answered there. Where nothing is, silence is waited for
// for a moment only: what comes, comes within a millisecond. Datagrams may be
// lost, so it asks again each second, as clients do.
func (ns netns) ask(protocol, at string, patience time.Duration) (answer string, err error) {
	err = ns.in(func() error {
		c, err := (&net.Dialer{Timeout: patience}).Dial(protocol, at)
		if err != nil {
			return err
		}
		defer c.Close()
		end := time.Now().Add(patience)
		_ = c.SetDeadline(end)
		for protocol == "udp" {
			if _, err := c.Write([]byte("?")); err != nil {
				return err
			}
			_ = c.SetReadDeadline(time.Now().Add(min(time.Until(end), time.Second)))
			buf := make([]byte, 100)
			n, err := c.Read(buf)
			if answer = string(buf[:n]); !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(end) {
				return err
			}
		}
		text, err := io.ReadAll(c)
		answer = string(text)
		return err
	})
	return answer, err
}

// A world is a host with a store, and a LAN with another machine on it.
type world struct {
	testing.TB
	networks *Networks
	root     string
	lan      netns
	before   string
}

const (
	hostIP, lanIP   = "192.0.2.1", "192.0.2.2"
	hostIP6, lanIP6 = "2001:db8::1", "2001:db8::2"
)

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, root: t.TempDir()}
	var err error
	if w.networks, err = Open(w.root); err != nil {
		t.Fatal(err)
	}
	w.lan = newNetns(t)
	host := netns{}
	veth := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "eth0", PeerNamespace: netlink.NsFd(w.lan.Fd())}
	veth.Name = "up0"
	if err := netlink.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(veth) })
	for _, line := range []string{"addr add " + hostIP + "/24 dev up0", "addr add " + hostIP6 + "/64 dev up0 nodad", "link set up0 up"} {
		host.run(t, "ip", strings.Fields(line)...)
	}
	for _, line := range []string{"addr add " + lanIP + "/24 dev eth0", "addr add " + lanIP6 + "/64 dev eth0 nodad", "link set eth0 up"} {
		w.lan.run(t, "ip", strings.Fields(line)...)
	}
	if !inTime(func() bool { return strings.Contains(host.run(t, "ip", "link", "show", "up0"), "state UP") }) {
		t.Fatal("the link to the LAN does not come up")
	}
	host.run(t, "ip", "route", "add", "default", "via", lanIP)
	host.run(t, "ip", "route", "add", "default", "via", lanIP6, "dev", "up0")
	w.before = w.machine()
	t.Cleanup(func() { netns{}.run(t, "nft", "flush", "ruleset") })
	t.Cleanup(func() {
		if after := w.machine(); after != w.before && !t.Failed() {
			t.Errorf("the machine was\n%s\nand is\n%s", w.before, after)
		}
	})
	return w
}

// counted is what a rule's counter has counted.
var counted = regexp.MustCompile(`counter packets \d+ bytes \d+`)

// machine is all that a network could have changed on the host.
func (w *world) machine() string {
	w.Helper()
	var out strings.Builder
	for _, line := range []string{"nft list ruleset", "ip -br link", "ip -br addr", "ip route show table all", "ip -6 route show table all"} {
		args := strings.Fields(line)
		text := netns{}.run(w, args[0], args[1:]...)
		// When the link to the LAN has come up is chance, and so is the order.
		lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool {
			return strings.Contains(l, "fe80:") || strings.Contains(l, "ff00::/8") || strings.HasPrefix(l, "local 2001:db8:") || strings.HasPrefix(l, "anycast") || strings.HasPrefix(l, "multicast")
		})
		for i, l := range lines {
			lines[i] = counted.ReplaceAllString(l, "counter")
		}
		fmt.Fprintf(&out, "%s\n%s\n", line, strings.Join(lines, "\n"))
	}
	for _, path := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv4/conf/up0/route_localnet", "ipv6/conf/up0/accept_ra"} {
		text, err := os.ReadFile("/proc/sys/net/" + path)
		if err != nil {
			w.Fatal(err)
		}
		fmt.Fprintf(&out, "%s %s", path, text)
	}
	files, _ := filepath.Glob(filepath.Join(w.root, "networks", "*", "endpoints", "*"))
	more, _ := filepath.Glob(filepath.Join(w.root, "networks", "changed*"))
	fmt.Fprintln(&out, append(files, more...))
	return out.String()
}

// A box is a container: a network namespace, and a lock that is held.
type box struct {
	netns
	Owner
	lock *os.File
	w    *world
}

func (w *world) box(name string) *box {
	w.Helper()
	b := &box{netns: newNetns(w), w: w}
	b.Owner = Owner{ID: name + "-id", Name: name, Lock: filepath.Join(w.root, name+".lock")}
	b.live()
	w.Cleanup(func() {
		if err := w.networks.Disconnect(b.Owner); err != nil {
			w.Error(err)
		}
		b.lock.Close()
	})
	return b
}

// live takes the box's lock.
func (b *box) live() {
	var err error
	if b.lock, err = os.Create(b.Lock); err == nil {
		err = unix.Flock(int(b.lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		b.w.Fatal(err)
	}
}

// on connects the box.
func (b *box) on(a Attachment, p ...ports.Port) Endpoint {
	b.w.Helper()
	e, err := b.w.networks.Connect(b.File, b.Owner, []Attachment{a}, p)
	if err != nil {
		b.w.Fatal(err)
	}
	return e[0]
}

func (w *world) create(c Config) *Config {
	w.Helper()
	made, err := w.networks.Create(c)
	if err != nil {
		w.Fatal(err)
	}
	return made
}

// at is an address and a port in one.
func at(a any, port int) string {
	switch a := a.(type) {
	case netip.Prefix:
		return netip.AddrPortFrom(a.Addr(), uint16(port)).String()
	case netip.Addr:
		return netip.AddrPortFrom(a, uint16(port)).String()
	}
	return netip.AddrPortFrom(netip.MustParseAddr(a.(string)), uint16(port)).String()
}
