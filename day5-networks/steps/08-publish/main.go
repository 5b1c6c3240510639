// Step 8. New: a port for the LAN, the machine and the boxes; everything else is kept out; the table is replaced whole.
// Run: go build -o publish ./day5-networks/steps/08-publish; in world.sh: ./publish [-trap] 8080 10.0.0.2:80 &
// Still wrong: only TCP and IPv4; people have names: step 9. And a box gets at what listens on the machine's 127.0.0.1.
package main

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

var masquerade = []expr.Any{&expr.Masq{}}

func main() {
	trap := flag.Bool("trap", false, "in prerouting only, as most do")
	flag.Parse()
	port, err := strconv.ParseUint(flag.Arg(0), 10, 16)
	check(err)
	box, err := netip.ParseAddrPort(flag.Arg(1))
	check(err)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	defer set("/proc/sys/net/ipv4/conf/bridge0/route_localnet", "1")() // first: it fails if there is no bridge yet
	defer set("/proc/sys/net/ipv4/ip_forward", "1")()
	c, err := nftables.New()
	check(err)
	table := c.AddTable(&nftables.Table{Name: "boxes", Family: nftables.TableFamilyIPv4})
	c.DelTable(table) // the old one, or else the one that the line before has made
	c.AddTable(table)
	postrouting := c.AddChain(&nftables.Chain{Table: table, Name: "postrouting", Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource})
	// ip saddr 10.0.0.0/24 oifname != bridge0 masquerade
	add(c, postrouting, source(10, 0, 0), device(expr.MetaKeyOIFNAME, expr.CmpOpNeq), masquerade)
	// A box drops what comes from a 127.0.0.1, and would answer another box straight, which has asked somebody else.
	const snat, dnat = 1 << 4, 1 << 5 // IPS_SRC_NAT, IPS_DST_NAT
	toBoxes := device(expr.MetaKeyOIFNAME, expr.CmpOpEq)
	add(c, postrouting, source(127), toBoxes, masquerade)
	add(c, postrouting, source(10, 0, 0), toBoxes, status(dnat, expr.CmpOpNeq), masquerade)
	// fib daddr type local tcp dport PORT dnat to BOX, in prerouting and, for what the machine itself sends, in output
	turn := []expr.Any{&expr.Immediate{Register: 1, Data: box.Addr().AsSlice()},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(box.Port())},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2}}
	for i, hook := range []*nftables.ChainHook{nftables.ChainHookPrerouting, nftables.ChainHookOutput} {
		if i == 0 || !*trap {
			add(c, c.AddChain(&nftables.Chain{Table: table, Name: fmt.Sprint("nat", i), Type: nftables.ChainTypeNAT,
				Hooknum: hook, Priority: nftables.ChainPriorityNATDest}), toPort(uint16(port)), turn)
		}
	}
	// oifname bridge0 iifname != bridge0 and neither begun by a box nor published: drop
	forward := c.AddChain(&nftables.Chain{Table: table, Name: "forward", Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter})
	add(c, forward, toBoxes, device(expr.MetaKeyIIFNAME, expr.CmpOpNeq), status(snat|dnat, expr.CmpOpEq),
		[]expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}})
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

// status compares what has been done to the connection with nothing.
func status(bits uint32, op expr.CmpOp) []expr.Any {
	mask, zero := binaryutil.NativeEndian.PutUint32(bits), make([]byte, 4)
	return []expr.Any{&expr.Ct{Key: expr.CtKeySTATUS, Register: 1}, &expr.Bitwise{SourceRegister: 1, DestRegister: 1,
		Len: 4, Mask: mask, Xor: zero}, &expr.Cmp{Register: 1, Op: op, Data: zero}}
}

// toPort wants an address of this machine, whichever, TCP, and the port, which is at byte 2 of its header.
func toPort(port uint16) []expr.Any {
	return []expr.Any{&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Register: 1, Data: binaryutil.BigEndian.PutUint16(port)}}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
