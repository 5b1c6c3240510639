// Step 9, from nothing. New: a resolver for the boxes: it knows their names, and for all others asks where we ask.
// Run: go build -o names ./day5-networks/steps/09-names; in a shell of world.sh: ./names & ./box db busybox ping web
// Still wrong: one network, IPv4 only, and two boxes with one name both have it. The house has many networks: network.
package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

var list *os.File

func main() {
	config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	check(err)
	list, err = os.OpenFile("/run/boxes", os.O_RDONLY|os.O_CREATE, 0o644)
	check(err)
	upstream := net.JoinHostPort(config.Servers[0], config.Port)
	for _, network := range []string{"udp", "tcp"} { // TCP is for what is too long for UDP
		client := &dns.Client{Net: network}
		handler := dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
			answer := own(question)
			if answer == nil {
				answer, _, _ = client.Exchange(question, upstream)
			}
			if answer == nil { // nobody is there
				answer = new(dns.Msg).SetRcode(question, dns.RcodeServerFailure)
			}
			w.WriteMsg(answer)
		})
		server := &dns.Server{Addr: "10.0.0.1:53", Net: network, Handler: handler} // step 6's boxes ask there
		go func() { check(server.ListenAndServe()) }()
	}
	select {}
}

// own answers when the name is a box's, by step 6's list: a name counts only while its box holds the lock. Else nil.
func own(question *dns.Msg) (answer *dns.Msg) {
	asked := question.Question[0]
	header := dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}
	for i := byte(2); i < 255; i++ {
		record := make([]byte, 64)
		list.ReadAt(record, 64*int64(i))
		part := unix.Flock_t{Type: unix.F_WRLCK, Start: 64 * int64(i), Len: 64}
		check(unix.FcntlFlock(list.Fd(), unix.F_OFD_GETLK, &part)) // only asks who has it
		if part.Type == unix.F_UNLCK || !strings.EqualFold(strings.TrimRight(string(record), " ")+".", asked.Name) {
			continue
		}
		if answer == nil {
			answer = new(dns.Msg).SetReply(question)
		}
		// Of other types there is nothing, which is not "no such name": that would go for type A as well. RFC 8020
		if asked.Qtype == dns.TypeA {
			answer.Answer = append(answer.Answer, &dns.A{Hdr: header, A: net.IP{10, 0, 0, i}})
		}
	}
	return answer
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
