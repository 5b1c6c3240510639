package names

import (
	"context"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// A client waits five seconds and asks once more, resolv.conf(5): it shall have
// an answer before.
const (
	patience = 4 * time.Second        // for all servers together
	head     = 700 * time.Millisecond // that a server has before the next is asked as well
)

// forward has others answer. The first server is asked, and the next one, too,
// when it does not answer soon or cannot help. When none of them can, the answer
// is SERVFAIL.
func forward(ask *dns.Msg, servers []netip.AddrPort, overTCP bool) *dns.Msg {
	failed := new(dns.Msg).SetRcode(ask, dns.RcodeServerFailure)
	failed.RecursionAvailable = true
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	answers := make(chan *dns.Msg, len(servers)) // nobody hangs on it when we have gone
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

// exchange asks one server, in the way in which we were asked: an answer that is
// too long for UDP is cut short there, too, and the client comes back with TCP.
// It returns nil if no answer comes.
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
	// Another server has answered: this one is not worth a socket any more.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	question := ask.Copy()
	question.Id = dns.Id() // a number that only the server can know, RFC 5452
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
