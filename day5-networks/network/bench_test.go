package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
)

// Benchmarks run us and our peers in turns, so that a busy machine is as slow
// for all of them: what counts is the ratio. scripts/bench.sh makes the tables
// of the book of them.

// A benchRow is a row of a table, as scripts/figures reads it.
type benchRow struct {
	Section string    `json:"section"`
	Row     string    `json:"row"`
	Seconds []float64 `json:"seconds"` // of each round

	timed, after func() error
}

// turns runs the rows in turns, with pauses: what one leaves for the kernel to
// do, the next one would pay for.
func turns(b *testing.B, pause time.Duration, rows []*benchRow) {
	b.Helper()
	for b.Loop() {
		for _, i := range rand.Perm(len(rows)) {
			r := rows[i]
			time.Sleep(pause)
			began := time.Now()
			err := r.timed()
			r.Seconds = append(r.Seconds, time.Since(began).Seconds())
			if err == nil && r.after != nil {
				err = r.after()
			}
			if err != nil {
				b.Fatalf("%s: %v", r.Row, err)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	report(b, rows)
}

// report shows the rows, and adds them to the file that GO_DOCKER_BENCH names.
func report(b *testing.B, rows []*benchRow) {
	b.Helper()
	median := func(values []float64) float64 { return slices.Sorted(slices.Values(values))[len(values)/2] }
	var text strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&text, "\n%-40s median %8.2f ms, least %8.2f, x the first %.2f", r.Row, 1000*median(r.Seconds), 1000*slices.Min(r.Seconds), median(r.Seconds)/median(rows[0].Seconds))
	}
	b.Log(text.String())
	path := os.Getenv("GO_DOCKER_BENCH")
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	for _, r := range rows {
		if err := json.NewEncoder(file).Encode(r); err != nil {
			b.Fatal(err)
		}
	}
}

// newBench is a world that says nothing.
func newBench(b *testing.B) *world {
	logrus.SetOutput(io.Discard)
	b.Cleanup(func() { logrus.SetOutput(os.Stderr) })
	return newWorld(b)
}

// BenchmarkConnect connects a container, a port of it published, and disconnects
// it until its links have gone; so do CNI's plugins bridge, host-local and
// portmap. There is another container on both networks: a network's first one
// also makes the bridge, and the last removes it.
func BenchmarkConnect(b *testing.B) {
	w := newBench(b)
	n := cniNetwork{w, "one", []string{"10.88.0.0/16"}}
	first, other := w.box("other"), w.box("cni-other")
	first.on(Attachment{Network: DefaultName})
	if _, err := n.add(other, false); err != nil {
		b.Fatal(err)
	}
	x, y := w.box("x"), w.box("y")
	connect := func(network string) error {
		_, err := w.networks.Connect(x.File, x.Owner, []Attachment{{Network: network}}, both(8081, 80))
		return err
	}
	disconnect := func() error { return w.networks.Disconnect(x.Owner) }
	w.create(Config{Name: "empty"})
	turns(b, 50*time.Millisecond, []*benchRow{
		{Section: "network connect", Row: "ours, connect", timed: func() error { return connect(DefaultName) }, after: disconnect},
		{Section: "network connect", Row: "ours, connect and disconnect", timed: func() error { return errors.Join(connect(DefaultName), disconnect()) }},
		{Section: "network connect", Row: "ours, the same, the first and last one", timed: func() error { return errors.Join(connect("empty"), disconnect()) }},
		{Section: "network connect", Row: "CNI, ADD and DEL", timed: func() error {
			_, err := n.add(y, true)
			return errors.Join(err, n.del(y, true))
		}},
	})
	if err := errors.Join(n.del(other, false), w.networks.Disconnect(first.Owner)); err != nil {
		b.Error(err)
	}
	w.clearCNI()
}

// BenchmarkMany connects two hundred containers to one network, each with a port
// of its own published: the first of them, and the last.
func BenchmarkMany(b *testing.B) {
	first := &benchRow{Section: "network many", Row: "ours, of two hundred the first twenty"}
	last := &benchRow{Section: "network many", Row: "ours, the last twenty"}
	w := newBench(b)
	w.box("zeroth").on(Attachment{Network: DefaultName})
	boxes := make([]*box, 200)
	for i := range boxes {
		boxes[i] = w.box(fmt.Sprint("x", i))
	}
	for b.Loop() {
		var took []float64
		for i, x := range boxes {
			published := both(uint16(10000+i), 80)[:1]
			time.Sleep(5 * time.Millisecond)
			began := time.Now()
			x.on(Attachment{Network: DefaultName}, published...)
			took = append(took, time.Since(began).Seconds())
		}
		first.Seconds, last.Seconds = append(first.Seconds, took[:20]...), append(last.Seconds, took[180:]...)
		for _, x := range boxes {
			if err := w.networks.Disconnect(x.Owner); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	report(b, []*benchRow{first, last})
}

// volume is how much a connection carries, bytes.
const volume = 1 << 28

// BenchmarkThroughput carries 256 MiB from one container to another, and from
// the LAN to a published port: with our networks, and beside that through a
// bridge and two rules made by hand, in namespaces where we are not.
func BenchmarkThroughput(b *testing.B) {
	w := newBench(b)
	from, to := w.box("from"), w.box("to")
	from.on(Attachment{Network: DefaultName})
	ours := to.on(Attachment{Network: DefaultName}, both(8080, 80)[:1]...).Addresses[0].Addr().String()
	hand := newHand(b)
	for _, ns := range []netns{to.netns, hand.to} {
		ns.sink(b, 80)
	}
	row := func(section, name string, ns netns, to string) *benchRow {
		return &benchRow{Section: section, Row: name, timed: func() error { return ns.pour(to) }}
	}
	turns(b, 50*time.Millisecond, []*benchRow{
		row("network throughput, bridge", "ours", from.netns, ours+":80"),
		row("network throughput, bridge", "by hand", hand.from, "10.77.0.3:80"),
		row("network throughput, published", "ours", w.lan, hostIP+":8080"),
		row("network throughput, published", "by hand", hand.lan, hostIP+":8080"),
	})
}

// A hand is a host, a LAN and two containers, made with ip and nft.
type hand struct{ host, lan, from, to netns }

func newHand(b *testing.B) hand {
	b.Helper()
	h := hand{newNetns(b), newNetns(b), newNetns(b), newNetns(b)}
	plug := func(name string, ns netns) {
		err := h.host.in(func() error {
			veth := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.Fd())}
			veth.Name = name
			return netlink.LinkAdd(veth)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	plug("up0", h.lan)
	plug("from0", h.from)
	plug("to0", h.to)
	lines := func(ns netns, text string) {
		for _, line := range strings.Split(text, "\n") {
			if args := strings.Fields(line); len(args) > 0 {
				ns.run(b, args[0], args[1:]...)
			}
		}
	}
	lines(h.lan, "ip addr add "+lanIP+"/24 dev eth0\nip link set eth0 up")
	lines(h.from, "ip addr add 10.77.0.2/24 dev eth0\nip link set eth0 up")
	lines(h.to, "ip addr add 10.77.0.3/24 dev eth0\nip link set eth0 up\nip route add default via 10.77.0.1")
	lines(h.host, `
		ip addr add `+hostIP+`/24 dev up0
		ip link set up0 up
		ip link add br0 type bridge
		ip addr add 10.77.0.1/24 dev br0
		ip link set from0 master br0 up
		ip link set to0 master br0 up
		ip link set br0 up
		nft add table ip hand
		nft add chain ip hand prerouting { type nat hook prerouting priority dstnat; }
		nft add chain ip hand postrouting { type nat hook postrouting priority srcnat; }
		nft add rule ip hand prerouting tcp dport 8080 fib daddr type local dnat to 10.77.0.3:80
		nft add rule ip hand postrouting ip saddr 10.77.0.0/24 oifname != br0 masquerade
		sysctl -qw net.ipv4.ip_forward=1`)
	return h
}

// sink takes what comes to a port, and answers with how much it was.
func (ns netns) sink(t testing.TB, port int) {
	t.Helper()
	var listener net.Listener
	err := ns.in(func() (err error) {
		listener, err = net.Listen("tcp4", fmt.Sprintf(":%d", port))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			n, _ := io.CopyBuffer(io.Discard, struct{ io.Reader }{c}, make([]byte, 1<<18))
			fmt.Fprint(c, n)
			c.Close()
		}
	}()
}

// pour sends the volume, and returns when all of it has arrived.
func (ns netns) pour(to string) error {
	return ns.in(func() error {
		c, err := net.Dial("tcp4", to)
		if err != nil {
			return err
		}
		defer c.Close()
		block := make([]byte, 1<<18)
		for range volume / len(block) {
			if _, err := c.Write(block); err != nil {
				return err
			}
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		text, err := io.ReadAll(c)
		if err == nil && string(text) != fmt.Sprint(volume) {
			err = fmt.Errorf("of %d bytes %s have arrived", volume, text)
		}
		return err
	})
}
