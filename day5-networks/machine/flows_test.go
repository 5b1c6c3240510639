package machine

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const boxed = "GO_DOCKER_TEST_BOX"

// TestMain runs the tests in network and mount namespaces of their own.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		if os.Getenv("GO_DOCKER_MUST_RUN") == "1" {
			fmt.Fprintln(os.Stderr, "the tests of machine need root")
			os.Exit(1)
		}
		fmt.Println("skipped: the tests of machine need root")
		return
	}
	if os.Getenv(boxed) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), boxed+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "start the tests in namespaces:", err)
		os.Exit(1)
	}
	os.Exit(cmd.ProcessState.ExitCode() & 0xff)
}

func sh(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

// flows returns how many flows there are to each port.
func flows(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, line := range strings.Split(sh(t, "cat /proc/self/net/nf_conntrack"), "\n") {
		if to := destination.FindStringSubmatch(line); to != nil { // the first match is the sender's view
			all[to[1]]++
		}
	}
	return all
}

var destination = regexp.MustCompile(`udp .*? dport=(\d+) `)

// Only flows to the ports are forgotten, of both versions of IP, and not even
// those from such a port.
func TestForgetUDP(t *testing.T) {
	sh(t, "ip link set lo up; nft 'add table inet t; add chain inet t c { type filter hook output priority 0; }; add rule inet t c ct state new counter'")
	send := func(from, to string) {
		t.Helper()
		local, _ := net.ResolveUDPAddr("udp", from)
		remote, _ := net.ResolveUDPAddr("udp", to)
		c, err := net.DialUDP("udp", local, remote)
		if err == nil {
			_, err = c.Write([]byte("?"))
			c.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, forget := range map[string]func([]uint16) error{"in the kernel": ForgetUDP, "one by one": forgetOneByOne} {
		if err := forget([]uint16{5000}); err != nil {
			t.Errorf("%s, without a flow: %v", name, err)
		}
		for _, to := range []string{"127.0.0.1:5000", "[::1]:5000", "127.0.0.1:5001", "[::1]:5001"} {
			send("", to)
		}
		send("127.0.0.1:5000", "127.0.0.1:5002")
		if got, want := flows(t), (map[string]int{"5000": 2, "5001": 2, "5002": 1}); !maps.Equal(got, want) {
			t.Fatalf("%s: %v", name, got)
		}
		if err := forget([]uint16{5000}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, want := flows(t), (map[string]int{"5001": 2, "5002": 1}); !maps.Equal(got, want) {
			t.Errorf("%s: left are %v, want %v", name, got, want)
		}
		if err := forget([]uint16{5001, 5002}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A thousand ports do not take a thousand times as long.
func TestForgetManyUDP(t *testing.T) {
	ports := make([]uint16, 20000)
	for i := range ports {
		ports[i] = uint16(10000 + i)
	}
	spent := func() time.Duration { // of processor time, which is the same on a busy machine
		var usage unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
			t.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	before := spent()
	if err := ForgetUDP(ports); err != nil {
		t.Error(err)
	}
	if took := spent() - before; took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}
