package network

import (
	"net"
	"strings"
	"testing"
)

// A bridge learns from every frame, of protocols between switches, too, that a
// neighbour's Ethernet address is behind the sender's port, and then sends what is
// for the neighbour there.
func TestStolenPort(t *testing.T) {
	w := newWorld(t)
	c := w.create(Config{Name: "net"})
	victim, thief := w.box("victim"), w.box("thief")
	ev, et := victim.on(Attachment{Network: "net"}), thief.on(Attachment{Network: "net"})
	mv := parseMAC(t, ev.MAC)
	all := net.HardwareAddr{255, 255, 255, 255, 255, 255}
	behind := func() (port string) {
		for line := range strings.Lines(netns{}.run(t, "bridge", "fdb", "show", "br", c.Bridge)) {
			if words := strings.Fields(line); words[0] == ev.MAC {
				port = words[2]
			}
		}
		return port
	}
	victim.send(t, ip4(all, mv, ev.Addresses[0].Addr()))
	if port := behind(); port != ev.HostInterface {
		t.Fatalf("the victim is behind %q, not %s", port, ev.HostInterface)
	}
	for group := range byte(16) {
		to := net.HardwareAddr{1, 0x80, 0xc2, 0, 0, group}
		for _, kind := range []byte{0xcc, 0x8e} { // LLDP, 802.1X
			thief.send(t, pad(append(append(append([]byte{}, to...), mv...), 0x88, kind), 64))
		}
		if port := behind(); port != ev.HostInterface {
			t.Errorf("after a frame to %s the victim is behind %s; the thief is behind %s", to, port, et.HostInterface)
		}
	}
}

// Whatever part of our tables somebody removes, the next command puts it back.
func TestHealedInPart(t *testing.T) {
	w := newWorld(t)
	w.create(Config{Name: "net", Internal: true})
	w.box("b").on(Attachment{Network: "net"})
	host := netns{}
	before := host.run(t, "nft", "list", "ruleset")
	for _, loss := range []string{
		"delete table bridge %", "flush table inet %", "flush chain bridge % guard",
		"flush set inet % internal", "flush ruleset", "list ruleset",
	} {
		host.run(t, "nft", strings.Fields(strings.ReplaceAll(loss, "%", w.networks.table))...)
		for range 2 {
			if err := w.networks.Recover(); err != nil {
				t.Fatal(err)
			}
			if after := host.run(t, "nft", "list", "ruleset"); after != before {
				t.Errorf("after nft %s there is\n%s", loss, after)
			}
		}
	}
}
