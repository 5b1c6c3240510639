package ports

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const boxed = "GO_DOCKER_TEST_BOX"

// TestMain runs the tests in a network namespace of their own, so that the
// machine's ports are never touched.
func TestMain(m *testing.M) {
	if os.Getenv(boxed) != "" {
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "set lo up: %v: %s", err, out)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	runtime.LockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), boxed+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	}
	if err := cmd.Run(); cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "start the tests in a network namespace:", err)
		os.Exit(1)
	}
	os.Exit(cmd.ProcessState.ExitCode() & 0xff)
}

func port(host string, hostPort, private uint16, protocol string) Port {
	p := Port{HostPort: hostPort, Port: private, Protocol: protocol}
	if host != "" {
		p.HostIP = netip.MustParseAddr(host)
	}
	return p
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		text string
		want []Port
	}{
		{"80", []Port{port("", 0, 80, "tcp")}},
		{"8080:80", []Port{port("", 8080, 80, "tcp")}},
		{"53:53/UDP", []Port{port("", 53, 53, "udp")}},
		{"127.0.0.1:8080:80", []Port{port("127.0.0.1", 8080, 80, "tcp")}},
		{"127.0.0.1::80/tcp", []Port{port("127.0.0.1", 0, 80, "tcp")}},
		{"[::1]:8080:80", []Port{port("::1", 8080, 80, "tcp")}},
		{"::1:8080:80", []Port{port("::1", 8080, 80, "tcp")}},
		{"8000-8001:80-81", []Port{port("", 8000, 80, "tcp"), port("", 8001, 81, "tcp")}},
		{"3000-3001", []Port{port("", 0, 3000, "tcp"), port("", 0, 3001, "tcp")}},
		{"65535:65535", []Port{port("", 65535, 65535, "tcp")}},
	} {
		if got, err := Parse(test.text); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, %v; want %v", test.text, got, err, test.want)
		}
	}
	for _, text := range []string{"", "0", "65536", "a", "80/sctp", "80/", "80/tcp/udp", "1-2:1-3", "8000-8010:80", "2-1:80", "0:80", "host:80:80", "1.2.3:80:80", ":", "8080:", "-1:80", "80-:80", "-80", "fe80::1%eth0:80:80", "+80", "8 0", "224.0.0.1:80:80", "::ffff:224.0.0.1:80:80", "[ff02::1]:80:80", "255.255.255.255:80:80"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q: %v", text, got)
		} else if !strings.Contains(err.Error(), "invalid port") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestExposed(t *testing.T) {
	if got, err := Exposed("8000-8001/udp"); err != nil || !reflect.DeepEqual(got, []Port{port("", 0, 8000, "udp"), port("", 0, 8001, "udp")}) {
		t.Error(got, err)
	}
	if got, err := Exposed("80/sctp"); err != nil || got != nil {
		t.Error(got, err)
	}
	if got, err := Exposed("1:2"); err == nil {
		t.Error(got)
	}
}

// What Docker 29 prints for the same ports.
func TestShow(t *testing.T) {
	got := Show([]Port{
		port("::", 8080, 80, "tcp"), port("0.0.0.0", 8080, 80, "tcp"),
		port("0.0.0.0", 9000, 90, "tcp"), port("0.0.0.0", 9001, 91, "tcp"), port("0.0.0.0", 9002, 92, "tcp"),
		port("127.0.0.1", 53, 53, "udp"), port("0.0.0.0", 7000, 93, "tcp"),
	}, []Port{port("", 0, 80, "tcp"), port("", 0, 443, "tcp"), port("", 0, 444, "tcp")})
	want := "0.0.0.0:8080->80/tcp, 0.0.0.0:9000-9002->90-92/tcp, 0.0.0.0:7000->93/tcp, 127.0.0.1:53->53/udp, [::]:8080->80/tcp, 443-444/tcp"
	if got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
	if got := Show(nil, nil); got != "" {
		t.Error(got)
	}
}

func TestHold(t *testing.T) {
	asked := Families([]Port{port("", 8080, 80, "tcp"), port("", 0, 53, "udp"), port("", 0, 81, "tcp"), port("127.0.0.1", 8080, 80, "udp")}, true)
	got, held, err := Hold(asked)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 7 || got[2].HostPort == 0 || got[2].HostPort != got[3].HostPort || got[4].HostPort == 0 || got[4].HostPort != got[5].HostPort {
		t.Errorf("chosen: %v", got)
	}
	for _, p := range got {
		if !taken(t, p) {
			t.Errorf("%v is not held", p)
		}
		if _, _, err := Hold([]Port{p}); !errors.Is(err, unix.EADDRINUSE) || !strings.HasPrefix(err.Error(), "bind "+p.Public()+"/"+p.Protocol) {
			t.Errorf("%v held twice: %v", p, err)
		}
	}
	if c, err := net.DialTimeout("tcp", "127.0.0.1:8080", 30*time.Second); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a held port is not refused: %v, %v", c, err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range got {
		if taken(t, p) {
			t.Errorf("%v is still held", p)
		}
	}
}

// taken tries to listen like a Go server.
func taken(t *testing.T, p Port) bool {
	t.Helper()
	var closer interface{ Close() error }
	var err error
	family := "4"
	if p.HostIP.Is6() {
		family = "6"
	}
	if p.Protocol == "udp" {
		closer, err = net.ListenPacket("udp"+family, p.Public())
	} else {
		closer, err = net.Listen("tcp"+family, p.Public())
	}
	if errors.Is(err, unix.EADDRINUSE) {
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	closer.Close()
	return false
}

// All or nothing, and a port that a server listens on is noticed.
func TestHoldRefused(t *testing.T) {
	server, err := net.Listen("tcp4", "127.0.0.1:9000")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, _, err := Hold([]Port{port("0.0.0.0", 9001, 80, "tcp"), port("0.0.0.0", 9000, 80, "tcp")}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a server's port was held: %v", err)
	}
	if p := port("0.0.0.0", 9001, 80, "tcp"); taken(t, p) {
		t.Errorf("%v is held although not all could be", p)
	}
	if _, _, err := Hold([]Port{port("192.0.2.1", 80, 80, "tcp")}); !errors.Is(err, unix.EADDRNOTAVAIL) || !strings.Contains(err.Error(), "no address of this host") {
		t.Error(err)
	}
}

// A server that has just ended leaves connections in TIME_WAIT.
func TestHoldAfterServer(t *testing.T) {
	server, err := net.Listen("tcp4", "127.0.0.1:9100")
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp4", "127.0.0.1:9100")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close() // closed first, so that the server's side is in TIME_WAIT
	client.Read(make([]byte, 1))
	client.Close()
	server.Close()
	p := port("0.0.0.0", 9100, 80, "tcp")
	_, held, err := Hold([]Port{p})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Hold([]Port{p}); !errors.Is(err, unix.EADDRINUSE) || !taken(t, p) {
		t.Errorf("it is not held: %v", err)
	}
	if c, err := net.DialTimeout("tcp4", "127.0.0.1:9100", 30*time.Second); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("it is not refused: %v, %v", c, err)
	}
	held.Close()
}

// Datagrams that no rule sends on do not pile up.
func TestHeldDatagrams(t *testing.T) {
	_, held, err := Hold([]Port{port("127.0.0.1", 9200, 53, "udp")})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	c, err := net.Dial("udp", "127.0.0.1:9200")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 100 {
		c.Write(make([]byte, 1000))
	}
	queued, err := unix.IoctlGetInt(held.sockets[0], unix.SIOCINQ)
	if err != nil || queued != 0 {
		t.Errorf("%d bytes wait: %v", queued, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"80", "[::1]:8000-8010:80-90/udp", "127.0.0.1::80", ":::", "1-65535"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := Parse(s)
		if err == nil && len(list) == 0 {
			t.Errorf("%q: nothing", s)
		}
		for _, p := range list {
			if p.Port == 0 || p.Protocol != "tcp" && p.Protocol != "udp" {
				t.Errorf("%q: %+v", s, p)
			}
		}
	})
}
