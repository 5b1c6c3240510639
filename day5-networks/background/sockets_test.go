package background

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const boxed = "GO_DOCKER_TEST_BOX"

// TestMain runs the tests in a network namespace of their own.
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

// The address that is bound need not be there yet, and what comes to it waits.
func TestBind(t *testing.T) {
	loopback, later := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fd00::1")
	sockets, err := bind([]netip.Addr{loopback, later})
	if err != nil || len(sockets) != 4 {
		t.Fatal(sockets, err)
	}
	defer closeAll(sockets)
	for _, protocol := range []string{"udp", "tcp"} {
		c, err := net.Dial(protocol, "127.0.0.1:53")
		if err == nil {
			_, err = c.Write([]byte("?"))
			c.Close()
		}
		if err != nil {
			t.Error(err)
		}
	}
	buffer := make([]byte, 10)
	if n, err := sockets[0].Read(buffer); err != nil || string(buffer[:n]) != "?" {
		t.Error(string(buffer[:n]), err)
	}
}

func TestBindTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "0.0.0.0:53")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	ours := netip.MustParseAddr("127.0.0.1")
	if _, err := bind([]netip.Addr{ours}); err == nil || !strings.Contains(err.Error(), "another DNS server") {
		t.Error(err)
	}
	if conn, err := net.ListenPacket("udp", netip.AddrPortFrom(ours, 53).String()); err != nil {
		t.Errorf("something is still bound: %v", err)
	} else {
		conn.Close()
	}
}
