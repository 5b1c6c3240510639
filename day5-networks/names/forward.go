package names

import (
	"context"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// A client waits five seconds and asks again, resolv.conf(5). It should have an
// answer before that.
const (
	patience = 4 * time.Second        // for all servers together
	head     = 700 * time.Millisecond // before the next server is asked as well
)

// forward passes a question on. It asks the first server and, if that does not
// answer soon or cannot help, the next one as well. If none of them can help,
// the answer is SERVFAIL.
func forward(ask *dns.Msg, servers []netip.AddrPort, overTCP bool) *dns.Msg {
	failed := new(dns.Msg).SetRcode(ask, dns.RcodeServerFailure)
	failed.RecursionAvailable = true
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	answers := make(chan *dns.Msg, len(servers)) // room for all, so that no goroutine blocks after we return
	next, waiting := 0, 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return failed
		case <-timer.C:
		case reply := <-answers:
			waiting--
			if reply != nil && reply.Rcode != dns.RcodeServerFailure && reply.Rcode != dns.RcodeRefused {
				reply.Id = ask.Id
				return reply
			}
		}
		if next == len(servers) {
			if waiting == 0 {
				return failed
			}
			continue
		}
		server := servers[next]
		next, waiting = next+1, waiting+1
		go func() { answers <- exchange(ctx, ask, server, overTCP) }()
		timer.Reset(head)
	}
}

// exchange asks one server over the protocol that the client used. An answer
// too long for UDP is truncated in both places, and the client comes back with
// TCP. It returns nil if there is no answer.
func exchange(ctx context.Context, ask *dns.Msg, server netip.AddrPort, overTCP bool) *dns.Msg {
	client := dns.Client{Net: "udp", Timeout: patience}
	if overTCP {
		client.Net = "tcp"
	}
	conn, err := client.DialContext(ctx, server.String())
	if err != nil {
		return nil
	}
	defer conn.Close()
	// When another server has answered, this one's socket is no longer needed.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	question := ask.Copy()
	question.Id = dns.Id() // hard to guess for anybody but the server, RFC 5452
	reply, _, err := client.ExchangeWithConnContext(ctx, question, conn)
	if err != nil || len(reply.Question) != len(ask.Question) {
		return nil
	}
	for i, q := range reply.Question {
		if q.Qtype != ask.Question[i].Qtype || q.Qclass != ask.Question[i].Qclass || dns.CanonicalName(q.Name) != dns.CanonicalName(ask.Question[i].Name) {
			return nil
		}
	}
	return reply
}
