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

// What is too much to be forwarded at once gets an answer, too, and one client
// alone cannot have it all.
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

// A client opens connections and says nothing: it cannot have them all.
func TestManyConnections(t *testing.T) {
	serve(t)
	const many = 10 * ownConnections
	var idle []net.Conn
	for range many {
		c, err := net.Dial("tcp", ours.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle = append(idle, c)
	}
	open := 0
	for _, c := range idle {
		_ = c.SetReadDeadline(time.Now().Add(time.Second / 50))
		if _, err := c.Read(make([]byte, 1)); isTimeout(err) {
			open++
		}
	}
	if open != ownConnections {
		t.Errorf("%d of %d connections of one client are open, want %d", open, many, ownConnections)
	}
	for _, c := range idle {
		c.Close()
	}
	// And then it gets what it asks for.
	for end := time.Now().Add(patience); ; {
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

func isTimeout(err error) bool {
	var late net.Error
	return errors.As(err, &late) && late.Timeout()
}
