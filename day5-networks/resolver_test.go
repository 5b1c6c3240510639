package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// dnsServer answers on the LAN: there.example has an address, long.example has
// so many TXT records that they need TCP, and nothing else exists.
func dnsServer(t *testing.T, ns netns, at string) {
	t.Helper()
	var packets net.PacketConn
	var listener net.Listener
	err := ns.in(func() (err error) {
		if packets, err = net.ListenPacket("udp", at); err == nil {
			listener, err = net.Listen("tcp", at)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(w dns.ResponseWriter, ask *dns.Msg) {
		reply := new(dns.Msg).SetReply(ask)
		q := ask.Question[0]
		switch q.Name {
		case "there.example.":
			if q.Qtype == dns.TypeA {
				reply.Answer = append(reply.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Name, Class: dns.ClassINET, Rrtype: dns.TypeA}, A: net.IPv4(192, 0, 2, 77)})
			}
		case "long.example.":
			for i := range 60 {
				reply.Answer = append(reply.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Name, Class: dns.ClassINET, Rrtype: dns.TypeA}, A: net.IPv4(10, 1, 1, byte(i))})
			}
		default:
			reply.Rcode = dns.RcodeNameError
		}
		if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
			reply.Truncate(dns.MinMsgSize)
		}
		_ = w.WriteMsg(reply)
	}
	for _, d := range []*dns.Server{{PacketConn: packets}, {Listener: listener}} {
		d.Handler = dns.HandlerFunc(answer)
		go d.ActivateAndServe()
	}
	t.Cleanup(func() { packets.Close(); listener.Close() })
}

// silentServer never answers; who is asked something is told.
func silentServer(t *testing.T, ns netns, address string) <-chan struct{} {
	t.Helper()
	ns.run(t, "ip addr add "+address+"/24 dev eth0")
	var packets net.PacketConn
	err := ns.in(func() (err error) { packets, err = net.ListenPacket("udp", address+":53"); return err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	asked := make(chan struct{})
	go func() {
		for {
			if _, _, err := packets.ReadFrom(make([]byte, 512)); err != nil {
				return
			}
			select {
			case asked <- struct{}{}:
			case <-time.After(time.Second): // the same question once more
			}
		}
	}()
	return asked
}

// Questions for other names go upstream. If nobody answers there, our own names
// still work, and the other question gets an answer in time.
func TestUpstream(t *testing.T) {
	w := newWorld(t)
	lan := newLAN(t)
	dnsServer(t, lan, lanIP+":53")
	w.web("web", "--dns", lanIP)
	silent := silentServer(t, lan, "192.0.2.200")
	w.web("dead", "--dns", "192.0.2.200")
	if got := w.ok("exec", "web", "nslookup", "-type=a", "there.example"); !strings.Contains(got, "192.0.2.77") {
		t.Errorf("there.example: %s", got)
	}
	if got := w.do("exec", "web", "nslookup", "-type=a", "missing.example"); got.status == 0 || !strings.Contains(got.stdout, "NXDOMAIN") {
		t.Errorf("missing.example: %+v", got)
	}
	gateway := w.ok("inspect", "-f", "{{.NetworkSettings.Gateway}}", "web") + ":53"
	// From the host, which is recognized by its own address: names, and TCP.
	for _, network := range []string{"udp", "tcp"} {
		client := dns.Client{Net: network, Timeout: patience}
		reply, _, err := client.Exchange(new(dns.Msg).SetQuestion("dead.", dns.TypeA), gateway)
		if err != nil || len(reply.Answer) != 1 {
			t.Errorf("%s: %v, %v", network, reply, err)
		}
	}
	// From a container whose server is the one on the LAN.
	pid := w.state("web").PID
	inside := netnsOf(t, pid)
	var reply *dns.Msg
	err := inside.in(func() (err error) {
		reply, _, err = (&dns.Client{Net: "tcp", Timeout: patience}).Exchange(new(dns.Msg).SetQuestion("long.example.", dns.TypeA), gateway)
		return err
	})
	if err != nil || len(reply.Answer) != 60 {
		t.Errorf("over TCP: %v, %v", reply, err)
	}
	// A question waits for four seconds for a dead server. One at the same time for
	// a name of ours does not; but a busy machine may, so this is tried again.
	took := time.Hour
	for try := 0; try < 5 && took > 3500*time.Millisecond; try++ {
		waits := w.command("exec", "dead", "nslookup", "-type=a", "there.example")
		var said bytes.Buffer
		waits.Stdout = &said
		if err := waits.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-silent: // has been asked
		case <-time.After(patience):
			t.Fatal("the silent server has not been asked")
		}
		asked := time.Now()
		if got := w.ok("exec", "dead", "wget", "-qO-", "http://web/hostname"); got != "web" {
			t.Errorf("our own name: %q", got)
		}
		took = time.Since(asked)
		if err := waits.Wait(); err == nil || !strings.Contains(said.String(), "SERVFAIL") && !strings.Contains(said.String(), "timed out") {
			t.Errorf("there.example: %v, %s", err, &said)
		}
	}
	if took > 3500*time.Millisecond {
		t.Errorf("our own name took %v", took)
	}
	// The LAN itself is refused.
	err = lan.in(func() (err error) {
		reply, _, err = (&dns.Client{Timeout: time.Second}).Exchange(new(dns.Msg).SetQuestion("web.", dns.TypeA), gateway)
		return err
	})
	if err == nil && (reply.Rcode != dns.RcodeRefused || len(reply.Answer) > 0) {
		t.Errorf("the LAN is told %v", reply)
	}
}

func netnsOf(t *testing.T, pid int) netns {
	t.Helper()
	ns := newNetns(t)
	err := apart(func() error {
		fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = errors.Join(unix.Dup3(fd, int(ns.Fd()), unix.O_CLOEXEC), unix.Close(fd))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// resolv.conf has our server and the options that were asked for.
func TestResolvConf(t *testing.T) {
	w := newWorld(t)
	got := w.ok("run", "--rm", "--dns", "192.0.2.7", "box", "cat", "/etc/resolv.conf")
	if !strings.HasPrefix(got, "nameserver 172.") || strings.Count(got, "nameserver") != 1 || !strings.HasSuffix(got, " ndots:0") {
		t.Errorf("on a network: %q", got)
	}
	for _, mode := range []string{"host", "none"} {
		if got := w.ok("run", "--rm", "--net", mode, "--dns", "192.0.2.7", "box", "cat", "/etc/resolv.conf"); !strings.HasPrefix(got, "nameserver 192.0.2.7") || strings.Count(got, "nameserver") != 1 {
			t.Errorf("%s: %q", mode, got)
		}
		if got := w.ok("run", "--rm", "--net", mode, "box", "cat", "/etc/resolv.conf"); got != strings.TrimSuffix(w.read("/etc/resolv.conf"), "\n") {
			t.Errorf("%s: %q", mode, got)
		}
	}
}

// If another server has the DNS port on all addresses, the error says what to
// do, and nothing is left behind.
func TestPort53Taken(t *testing.T) {
	w := newWorld(t)
	before := w.machine()
	other, err := net.Listen("tcp4", ":53")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	w.fails(125, "another DNS server of this host", "run", "--name", "web", "box", "true")
	if got := w.ok("ps", "-aq"); got != "" {
		t.Errorf("a container is left: %s", got)
	}
	w.sameMachine(before)
	w.ok("run", "--rm", "--net", "none", "box", "true")
	other.Close()
	w.ok("run", "--rm", "box", "true")
}

// A killed resolver is started again by the next command. A restarted container
// keeps its names, whether by its policy or by a command.
func TestNamesStay(t *testing.T) {
	w := newWorld(t)
	w.web("db")
	w.web("web", "--restart", "always", "--network-alias", "www")
	asks := func(when string) {
		t.Helper()
		w.until(when+": the name is there", func() bool {
			return w.do("exec", "db", "wget", "-qO-", "http://www/hostname").stdout == "web\n"
		})
	}
	w.until("a resolver runs", func() bool { return len(w.resolvers()) == 1 }) // nobody waits for its process
	w.killResolvers()
	if got := w.ok("ps", "-q"); got == "" {
		t.Error("nothing runs")
	}
	asks("killed resolver")
	w.ok("restart", "-t", "0", "web")
	asks("restart")
	w.ok("rename", "web", "site")
	if got := w.ok("exec", "db", "wget", "-qO-", "http://site/hostname"); got != "web" {
		t.Errorf("its new name: %q", got)
	}
	if got := w.do("exec", "db", "nslookup", "web"); got.status == 0 {
		t.Errorf("its old name is still known: %+v", got)
	}
	w.ok("rename", "site", "web")
	started := w.state("web").StartedAt
	w.do("exec", "web", "sh", "-c", "kill -9 -1") // kills what init runs, and the policy starts it again
	w.until("it is started again", func() bool { return w.state("web").StartedAt.After(started) })
	asks("policy")
	if got := len(w.resolvers()); got != 1 {
		t.Errorf("%d resolvers", got)
	}
}

func (w *world) killResolvers() {
	w.Helper()
	for _, pid := range w.resolvers() {
		n, _ := strconv.Atoi(pid)
		w.kill(n)
		w.until("the resolver is dead", func() bool { return !alive(n) })
	}
}

// kill -9 of a command, a shim or a resolver at any moment: once all containers
// are gone, so are links, rules, records and values. Those of a running
// container stay intact.
func TestNetworksKilledAtRandom(t *testing.T) {
	w := newWorld(t)
	w.ok("network", "create", "one")
	w.ok("network", "create", "--ipv6", "two")
	w.ok("run", "--rm", "box", "true") // bridge exists again
	w.ok("ps")                         // and its links are gone
	before := w.machine()
	commands := []string{
		"run -d --name web -p 8080:80 box sleep 1000",
		"run -d --name web --net one --net two -p 80 box sleep 1000",
		"run -d --rm --name web --net two box sleep 1000",
		"run -d --restart always --name web -p 8080:80 box true",
		"run --rm --name web -P box true",
		"start web", "stop -t 0 web", "restart -t 0 web",
		"network connect two web", "network disconnect two web",
		"rm -f web", "network prune -f",
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for range times(60) {
		line := commands[random.IntN(len(commands))]
		cmd := w.command(strings.Fields(line)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.IntN(60000)) * time.Microsecond)
		switch random.IntN(3) {
		case 0:
			_ = cmd.Process.Kill()
		case 1:
			w.killShims()
		case 2:
			for _, pid := range w.resolvers() {
				n, _ := strconv.Atoi(pid)
				_ = unix.Kill(n, unix.SIGKILL)
			}
		}
		_ = cmd.Wait()
		if strings.HasPrefix(line, "network prune") {
			w.do("network", "create", "one")
			w.do("network", "create", "--ipv6", "two")
		}
		w.ok("rm", "-f", "web")
		w.ok("ps")
		w.until("the machine is as it was after "+line, func() bool { return w.machine() == before })
	}
	w.until("no resolver runs", func() bool { return len(w.resolvers()) == 0 })
}

// killShims kills all shims, including those that are starting.
func (w *world) killShims() {
	out, _ := exec.Command("pgrep", "-f", fmt.Sprintf("shim %s/containers/", w.root)).Output()
	for _, field := range strings.Fields(string(out)) {
		pid, _ := strconv.Atoi(field)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// The next command cleans up, whichever it is.
func TestShimKilledOnNetwork(t *testing.T) {
	w := newWorld(t)
	before := w.machine()
	for _, next := range [][]string{{"ps"}, {"network", "ls"}, {"inspect", "web"}, {"run", "--rm", "--net", "none", "box", "true"}, {"start", "web"}, {"network", "rm", "one"}} {
		w.ok("network", "create", "one")
		w.ok("run", "-d", "--name", "web", "--net", "one", "-p", "8080:80", "box", "sleep", "1000")
		w.kill(w.state("web").ShimPID)
		w.until("it is seen to be dead", func() bool { return !w.state("web").Live() })
		w.do(next...)
		if next[0] == "start" {
			if got := w.ok("exec", "web", "ls", "/sys/class/net"); got != "eth0\nlo" {
				t.Errorf("started again: %q", got)
			}
			w.ok("stop", "-t", "0", "web")
		}
		if after := w.machine(); after != before {
			t.Errorf("after %q: the machine was\n%s\nand is\n%s", next, before, after)
		}
		w.ok("rm", "web")
		w.do("network", "rm", "one")
	}
}
