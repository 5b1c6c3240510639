// Step 7, from nothing. New: the way out: forwarding and masquerading, set through netlink, and undone at the end.
// Run: go build -o nat ./day5-networks/steps/07-nat; in world.sh: ./nat & ./box web busybox wget -qO- 192.0.2.2
// Still wrong: whoever has a route gets in; and kill -9 leaves the rule, and the next start doubles it. Step 8.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

var masquerade = []expr.Any{&expr.Masq{}}

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	defer set("/proc/sys/net/ipv4/ip_forward", "1")()
	c, err := nftables.New()
	check(err)
	table := c.AddTable(&nftables.Table{Name: "boxes", Family: nftables.TableFamilyIPv4})
	postrouting := c.AddChain(&nftables.Chain{Table: table, Name: "postrouting", Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource})
	// ip saddr 10.0.0.0/24 oifname != bridge0 masquerade
	add(c, postrouting, source(10, 0, 0), device(expr.MetaKeyOIFNAME, expr.CmpOpNeq), masquerade)
	check(c.Flush()) // one transaction: the kernel takes all of it or nothing
	fmt.Println("ready")
	<-stop
	c.DelTable(table)
	check(c.Flush())
}

// set writes a switch of the kernel and returns what undoes that.
func set(file, value string) (undo func()) {
	was, err := os.ReadFile(file)
	check(err)
	check(os.WriteFile(file, []byte(value), 0o644))
	return func() { check(os.WriteFile(file, was, 0o644)) }
}

// A rule is a small program for a machine in the kernel: load into register 1, compare or leave the rule, ..., act.
func add(c *nftables.Conn, chain *nftables.Chain, parts ...[]expr.Any) {
	rule := &nftables.Rule{Table: chain.Table, Chain: chain}
	for _, part := range parts {
		rule.Exprs = append(rule.Exprs, part...)
	}
	c.AddRule(rule)
}

// source compares the first bytes of the sender's address, which is at byte 12 of the header. RFC 791
func source(first ...byte) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12,
		Len: uint32(len(first))}, &expr.Cmp{Register: 1, Op: expr.CmpOpEq, Data: first}}
}

// device compares the name of the device that a packet comes from or goes to with the bridge's, all 16 bytes of it.
func device(key expr.MetaKey, op expr.CmpOp) []expr.Any {
	name := append([]byte("bridge0"), make([]byte, 9)...)
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Register: 1, Op: op, Data: name}}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
