package names

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Questions beyond the limit on forwarding get an answer, too, and a single
// client cannot use up the limit.
func TestTooManyQuestions(t *testing.T) {
	s := &Server{
		Lookup:    func(netip.Addr) *Table { return new(Table) },
		Upstream:  func(netip.Addr) []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:53")} },
		forwarded: shares{all: 3, own: 2},
	}
	upstream(t, "127.0.0.2:53", func(w dns.ResponseWriter, ask *dns.Msg) { w.WriteMsg(new(dns.Msg).SetReply(ask)) })
	question := new(dns.Msg).SetQuestion("there.example.", dns.TypeA)
	rcode := func(client netip.Addr) int { return s.reply(&net.UDPAddr{IP: client.AsSlice()}, question).Rcode }
	for range 2 {
		if !s.forwarded.take(web) {
			t.Fatal("not even the first ones")
		}
	}
	if got := rcode(web); got != dns.RcodeServerFailure {
		t.Error("more than its own:", got)
	}
	if got := rcode(other); got != dns.RcodeSuccess {
		t.Error("another client:", got)
	}
	s.forwarded.take(other)
	if got := rcode(other); got != dns.RcodeServerFailure {
		t.Error("more than all:", got)
	}
	s.forwarded.give(web)
	if got := rcode(web); got != dns.RcodeSuccess {
		t.Error("it was given back:", got)
	}
}

// A client that opens connections without asking anything cannot take all of
// them.
func TestManyConnections(t *testing.T) {
	serve(t)
	// After five seconds the server closes those that ask nothing.
	unhurried(t, 4*time.Second, func() time.Duration {
		began := time.Now()
		open := openConnections(t)
		took := time.Since(began)
		if took < 4*time.Second && open != ownConnections {
			t.Errorf("%d connections of one client are open, want %d", open, ownConnections)
		}
		return took
	})
	// Then it gets an answer.
	for end := time.Now().Add(30 * time.Second); ; {
		reply, _, err := (&dns.Client{Net: "tcp"}).Exchange(new(dns.Msg).SetQuestion("db.", dns.TypeA), ours.String())
		if err == nil {
			if got := texts(reply); !slices.Equal(got, []string{other.String()}) {
				t.Error(got)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// openConnections makes far too many connections, waits until the server has closed
// those that it does not want, and returns how many are open.
func openConnections(t *testing.T) int {
	t.Helper()
	var open []net.Conn
	for range 10 * ownConnections {
		c, err := net.Dial("tcp", ours.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	look := func() {
		open = slices.DeleteFunc(open, func(c net.Conn) bool {
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := c.Read(make([]byte, 1))
			return !isTimeout(err)
		})
	}
	for end := time.Now().Add(4 * time.Second); len(open) > ownConnections && time.Now().Before(end); {
		look()
	}
	time.Sleep(100 * time.Millisecond)
	look() // has it closed more?
	return len(open)
}

func isTimeout(err error) bool {
	var late net.Error
	return errors.As(err, &late) && late.Timeout()
}

// A reply that came from upstream in 512 bytes is passed on in 512 bytes. Names
// in a message can point to each other, RFC 1035, section 4.1.4, and a client
// that has not asked for more accepts no more, 4.2.1.
func TestForwardedSize(t *testing.T) {
	const name = "a-rather-long-name-of-somebody-elses.example."
	upstream(t, "127.0.0.2:53", func(w dns.ResponseWriter, ask *dns.Msg) {
		reply := new(dns.Msg).SetReply(ask)
		for i := range 25 {
			reply.Answer = append(reply.Answer, &dns.A{Hdr: dns.RR_Header{Name: name, Class: dns.ClassINET, Rrtype: dns.TypeA}, A: net.IPv4(192, 0, 2, byte(i))})
		}
		reply.Compress = true
		w.WriteMsg(reply)
	})
	serve(t, "127.0.0.2:53")
	question, err := new(dns.Msg).SetQuestion(name, dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("udp", ours.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(question); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(2 * patience))
	text := make([]byte, 4096)
	n, err := c.Read(text)
	reply := new(dns.Msg)
	if err == nil {
		err = reply.Unpack(text[:n])
	}
	if err != nil || n > dns.MinMsgSize || reply.Truncated || len(reply.Answer) != 25 {
		t.Errorf("%d bytes, %d answers, truncated %v, %v", n, len(reply.Answer), reply.Truncated, err)
	}
}
