package names

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

const boxed = "GO_DOCKER_TEST_BOX"

// TestMain runs the tests in a network namespace of their own, so that no
// question leaves it.
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

var (
	web   = netip.MustParseAddr("172.18.0.2")
	web6  = netip.MustParseAddr("fd00:1::2")
	other = netip.MustParseAddr("172.18.0.3")
	ours  = netip.MustParseAddrPort("127.0.0.1:53")
	local = netip.MustParseAddr("127.0.0.1")
)

func table() *Table {
	t := &Table{Prefixes: []netip.Prefix{netip.MustParsePrefix("172.18.0.0/16"), netip.MustParsePrefix("fd00:1::/64")}}
	t.Add("web", web, web6)
	t.Add("Alias", web)
	t.Add("db", other)
	t.Add("alias", other)
	return t
}

// serve starts our server with these upstream servers.
func serve(t *testing.T, upstream ...string) {
	t.Helper()
	s := &Server{
		Lookup: func(client netip.Addr) *Table {
			if client != local {
				return nil
			}
			return table()
		},
		Upstream: func(netip.Addr) (list []netip.AddrPort) {
			for _, u := range upstream {
				list = append(list, netip.MustParseAddrPort(u))
			}
			return list
		},
	}
	if err := s.Use(sockets(t, ours.String(), "[::1]:53")); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// sockets returns bound sockets for UDP and TCP, as a resolver inherits them.
func sockets(t *testing.T, at ...string) (files []*os.File) {
	t.Helper()
	for _, a := range at {
		packets, err := net.ListenPacket("udp", a)
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", a)
		if err != nil {
			t.Fatal(err)
		}
		for _, socket := range []interface {
			File() (*os.File, error)
			Close() error
		}{packets.(*net.UDPConn), listener.(*net.TCPListener)} {
			file, err := socket.File()
			if err = errors.Join(err, socket.Close()); err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
	}
	return files
}

// upstream starts another server, with answer as its handler.
func upstream(t *testing.T, at string, answer func(w dns.ResponseWriter, ask *dns.Msg)) {
	t.Helper()
	packets, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*dns.Server{{PacketConn: packets}, {Listener: listener}} {
		d.Handler = dns.HandlerFunc(answer)
		go d.ActivateAndServe()
	}
	t.Cleanup(func() { packets.Close(); listener.Close() })
}

// unhurried fails the test if what must not take long does so each time. A machine
// that is busy may stand still for seconds, but not always just then.
func unhurried(t *testing.T, most time.Duration, f func() time.Duration) {
	t.Helper()
	var took []time.Duration
	for range 5 {
		last := f()
		if last <= most {
			return
		}
		took = append(took, last)
	}
	t.Errorf("it took %v, want at most %v", took, most)
}

func ask(t *testing.T, network, name string, kind uint16) *dns.Msg {
	t.Helper()
	client := dns.Client{Net: network, Timeout: 30 * time.Second}
	reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), kind), ours.String())
	if err != nil {
		t.Fatalf("%s %s: %v", name, dns.TypeToString[kind], err)
	}
	return reply
}

// texts returns the answers as text.
func texts(m *dns.Msg) (list []string) {
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			list = append(list, rr.A.String())
		case *dns.AAAA:
			list = append(list, rr.AAAA.String())
		case *dns.PTR:
			list = append(list, rr.Ptr)
		case *dns.TXT:
			list = append(list, rr.Txt...)
		}
	}
	slices.Sort(list)
	return list
}

func TestOwnNames(t *testing.T) {
	serve(t)
	for _, network := range []string{"udp", "tcp"} {
		for _, test := range []struct {
			name  string
			kind  uint16
			rcode int
			want  string
		}{
			{"web", dns.TypeA, dns.RcodeSuccess, "172.18.0.2"},
			{"WEB", dns.TypeA, dns.RcodeSuccess, "172.18.0.2"},
			{"web", dns.TypeAAAA, dns.RcodeSuccess, "fd00:1::2"},
			{"aLIAS", dns.TypeA, dns.RcodeSuccess, "172.18.0.2 172.18.0.3"},
			{"db", dns.TypeAAAA, dns.RcodeSuccess, ""}, // NODATA
			{"db", dns.TypeMX, dns.RcodeSuccess, ""},
			{"2.0.18.172.in-addr.arpa", dns.TypePTR, dns.RcodeSuccess, "web."},
			{"2.0.18.172.IN-ADDR.ARPA", dns.TypePTR, dns.RcodeSuccess, "web."},
			{"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa", dns.TypePTR, dns.RcodeSuccess, "web."},
			{"9.0.18.172.in-addr.arpa", dns.TypePTR, dns.RcodeNameError, ""},
			{"9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa", dns.TypePTR, dns.RcodeNameError, ""},
			{"elsewhere.example", dns.TypeA, dns.RcodeServerFailure, ""}, // there is no server to ask
			{"2.0.19.172.in-addr.arpa", dns.TypePTR, dns.RcodeServerFailure, ""},
		} {
			reply := ask(t, network, test.name, test.kind)
			if got := strings.Join(texts(reply), " "); got != test.want || reply.Rcode != test.rcode {
				t.Errorf("%s: %s %s: %s %q, want %s %q", network, test.name, dns.TypeToString[test.kind],
					dns.RcodeToString[reply.Rcode], got, dns.RcodeToString[test.rcode], test.want)
			}
		}
	}
}

func TestStrangers(t *testing.T) {
	serve(t)
	client := dns.Client{Timeout: 30 * time.Second}
	reply, _, err := client.Exchange(new(dns.Msg).SetQuestion("web.", dns.TypeA), "[::1]:53")
	if err != nil || reply.Rcode != dns.RcodeRefused || len(reply.Answer) > 0 {
		t.Errorf("%v, %v", reply, err)
	}
}

func TestForward(t *testing.T) {
	long := strings.Repeat("x", 200)
	upstream(t, "127.0.0.2:53", func(w dns.ResponseWriter, ask *dns.Msg) {
		reply := new(dns.Msg).SetReply(ask)
		head := dns.RR_Header{Name: ask.Question[0].Name, Class: dns.ClassINET, Rrtype: dns.TypeTXT}
		switch strings.ToLower(ask.Question[0].Name) {
		case "missing.example.":
			reply.Rcode = dns.RcodeNameError
		case "long.example.":
			for i := range 20 {
				reply.Answer = append(reply.Answer, &dns.TXT{Hdr: head, Txt: []string{fmt.Sprint(i, long)}})
			}
			if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
				reply.Truncate(dns.MinMsgSize)
			}
		default:
			reply.Answer = append(reply.Answer, &dns.TXT{Hdr: head, Txt: []string{"here"}})
		}
		w.WriteMsg(reply)
	})
	serve(t, "127.0.0.2:53")
	if got := texts(ask(t, "udp", "There.example", dns.TypeTXT)); !slices.Equal(got, []string{"here"}) {
		t.Error(got)
	}
	if reply := ask(t, "udp", "missing.example", dns.TypeA); reply.Rcode != dns.RcodeNameError {
		t.Error(reply)
	}
	if reply := ask(t, "udp", "long.example", dns.TypeTXT); !reply.Truncated || len(reply.Answer) > 2 {
		t.Errorf("over UDP: truncated %v, %d records", reply.Truncated, len(reply.Answer))
	}
	if reply := ask(t, "tcp", "long.example", dns.TypeTXT); reply.Truncated || len(reply.Answer) != 20 {
		t.Errorf("over TCP: truncated %v, %d records", reply.Truncated, len(reply.Answer))
	}
}

// The first server is silent, the second dead, the third cannot help, the
// fourth answers a different question, and the fifth answers.
func TestBadServers(t *testing.T) {
	upstream(t, "127.0.0.2:53", func(dns.ResponseWriter, *dns.Msg) {})
	upstream(t, "127.0.0.4:53", func(w dns.ResponseWriter, ask *dns.Msg) {
		w.WriteMsg(new(dns.Msg).SetRcode(ask, dns.RcodeRefused))
	})
	upstream(t, "127.0.0.5:53", func(w dns.ResponseWriter, ask *dns.Msg) {
		reply := new(dns.Msg).SetReply(ask)
		reply.Question[0].Name = "other.example."
		w.WriteMsg(reply)
	})
	upstream(t, "127.0.0.6:53", func(w dns.ResponseWriter, ask *dns.Msg) {
		reply := new(dns.Msg).SetReply(ask)
		reply.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: ask.Question[0].Name, Class: dns.ClassINET, Rrtype: dns.TypeA}, A: net.IPv4(192, 0, 2, 1)}}
		w.WriteMsg(reply)
	})
	serve(t, "127.0.0.2:53", "127.0.0.3:53", "127.0.0.4:53", "127.0.0.5:53", "127.0.0.6:53")
	unhurried(t, 3*time.Second, func() time.Duration {
		began := time.Now()
		reply := ask(t, "udp", "there.example", dns.TypeA)
		took := time.Since(began)
		if got := texts(reply); took < patience && !slices.Equal(got, []string{"192.0.2.1"}) {
			t.Error(reply)
		}
		return took
	})
}

// With a dead server there is an answer before a client gives up, and our own
// names are answered at once.
func TestDeadServer(t *testing.T) {
	upstream(t, "127.0.0.2:53", func(dns.ResponseWriter, *dns.Msg) {})
	serve(t, "127.0.0.2:53")
	before := descriptors(t)
	unhurried(t, patience+time.Second, func() time.Duration { return askTheDead(t) })
	for end := time.Now().Add(30 * time.Second); descriptors(t) > before; {
		if time.Now().After(end) {
			t.Fatalf("%d descriptors before, %d now", before, descriptors(t))
		}
	}
}

// askTheDead asks for many names of others, and meanwhile for one of ours. It returns
// how long all of it took.
func askTheDead(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	const questions = 150 // more would overflow the socket, which is not the point here
	done := make(chan string, questions)
	for range questions {
		go func() {
			client := dns.Client{Timeout: 30 * time.Second}
			reply, _, err := client.Exchange(new(dns.Msg).SetQuestion("there.example.", dns.TypeA), ours.String())
			if err == nil {
				err = errors.New(dns.RcodeToString[reply.Rcode])
			}
			done <- err.Error()
		}()
	}
	time.Sleep(100 * time.Millisecond)
	unhurried(t, 2*time.Second, func() time.Duration {
		asked := time.Now()
		if got := texts(ask(t, "udp", "web", dns.TypeA)); !slices.Equal(got, []string{"172.18.0.2"}) {
			t.Error(got)
		}
		return time.Since(asked)
	})
	for range questions {
		if got := <-done; got != "SERVFAIL" {
			t.Error(got)
		}
	}
	return time.Since(began)
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// A name with more addresses than fit in a datagram.
func TestManyAddresses(t *testing.T) {
	many := new(Table)
	for i := range 100 {
		many.Add("all", netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	s := &Server{Lookup: func(netip.Addr) *Table { return many }}
	question := new(dns.Msg).SetQuestion("all.", dns.TypeA)
	reply := s.reply(&net.UDPAddr{}, question)
	if text, err := reply.Pack(); err != nil || len(text) > dns.MinMsgSize || !reply.Truncated {
		t.Errorf("%d bytes, truncated %v, %v", len(text), reply.Truncated, err)
	}
	if reply := s.reply(&net.TCPAddr{}, question); reply.Truncated || len(reply.Answer) != 100 {
		t.Errorf("over TCP: %d answers", len(reply.Answer))
	}
	if reply := s.reply(&net.UDPAddr{}, question.SetEdns0(4096, false)); reply.Truncated || len(reply.Answer) != 100 || reply.IsEdns0() == nil {
		t.Errorf("with EDNS: %d answers", len(reply.Answer))
	}
}

func TestUseNoSocket(t *testing.T) {
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	s := new(Server)
	if err := s.Use(append(sockets(t, ours.String()), file)); err == nil {
		t.Error("/dev/null is taken for a socket")
	}
	if conn, err := net.ListenPacket("udp", ours.String()); err != nil {
		t.Errorf("something is still bound: %v", err)
	} else {
		conn.Close()
	}
}

// Whatever a container sends, there is an answer, and it can be encoded.
func FuzzReply(f *testing.F) {
	for _, name := range []string{"web.", "2.0.18.172.in-addr.arpa.", "0.ip6.arpa.", "."} {
		text, err := new(dns.Msg).SetQuestion(name, dns.TypeANY).SetEdns0(1232, true).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	s := &Server{
		Lookup:    func(netip.Addr) *Table { return table() },
		Upstream:  func(netip.Addr) []netip.AddrPort { return nil },
		forwarded: shares{all: 1, own: 1},
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ask := new(dns.Msg)
		if ask.Unpack(text) != nil {
			return
		}
		reply := s.reply(&net.UDPAddr{}, ask)
		if reply == nil || !reply.Response || reply.Id != ask.Id {
			t.Errorf("%v: %v", ask, reply)
		}
	})
}
