package network

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

// plugins is where distributions have them: Debian, and Fedora.
var plugins = func() string {
	if _, err := os.Stat("/usr/libexec/cni/bridge"); err == nil {
		return "/usr/libexec/cni"
	}
	return "/usr/lib/cni"
}()

// cni runs a plugin. CNI specification, section 2
func (w *world) cni(command, plugin string, b *box, config map[string]any) (map[string]any, error) {
	input, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(plugins, plugin))
	cmd.Stdin = bytes.NewReader(input)
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+command, "CNI_CONTAINERID="+b.ID, "CNI_IFNAME=eth0", "CNI_PATH="+plugins,
		fmt.Sprintf("CNI_NETNS=/proc/%d/fd/%d", os.Getpid(), b.Fd()))
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", plugin, command, err, out)
	}
	result := map[string]any{}
	if len(out) > 0 {
		err = json.Unmarshal(out, &result)
	}
	return result, err
}

// A cniNetwork is what CNI's plugins bridge, host-local and portmap are told.
type cniNetwork struct {
	w       *world
	name    string
	subnets []string
}

func (n cniNetwork) bridge() map[string]any {
	var ranges, routes []any
	for _, s := range n.subnets {
		ranges = append(ranges, []any{map[string]string{"subnet": s}})
		every := "0.0.0.0/0"
		if strings.Contains(s, ":") {
			every = "::/0"
		}
		routes = append(routes, map[string]string{"dst": every})
	}
	return map[string]any{
		"cniVersion": "1.0.0", "name": n.name, "type": "bridge", "bridge": "cni-" + n.name,
		"isGateway": true, "ipMasq": true, "hairpinMode": true,
		"ipam": map[string]any{"type": "host-local", "ranges": ranges, "routes": routes, "dataDir": n.w.root},
	}
}

func (n cniNetwork) portmap(result map[string]any) map[string]any {
	var mappings []any
	for _, protocol := range []string{"tcp", "udp"} {
		mappings = append(mappings, map[string]any{"hostPort": 8080, "containerPort": 80, "protocol": protocol})
	}
	return map[string]any{
		"cniVersion": "1.0.0", "name": n.name, "type": "portmap", "snat": true,
		"runtimeConfig": map[string]any{"portMappings": mappings}, "prevResult": result,
	}
}

// add connects a box, and publishes if that is wanted.
func (n cniNetwork) add(b *box, publish bool) (map[string]any, error) {
	result, err := n.w.cni("ADD", "bridge", b, n.bridge())
	if err == nil && publish {
		_, err = n.w.cni("ADD", "portmap", b, n.portmap(result))
	}
	return result, err
}

func (n cniNetwork) del(b *box, publish bool) error {
	if publish {
		if _, err := n.w.cni("DEL", "portmap", b, n.portmap(nil)); err != nil {
			return err
		}
	}
	_, err := n.w.cni("DEL", "bridge", b, n.bridge())
	return err
}

// Where CNI's plugins leave open what we close. They are older than the rules
// that Docker has now, and leave networks apart to others, such as Calico.
var cniDiffers = map[string]string{
	"outside straight to an unpublished port":          "a to",
	"outside straight to a published container's port": "a to",
	"outside straight to an unpublished container":     "b to",
	"outside to a gateway's own port":                  "host to",
	"container of another network":                     "a to",
	"to a container of another network":                "c to",
	"container to another network's gateway":           "host to",
	"host to loopback:PORT":                            silence, // at ::1: not even refused
	"host to the gateway's address:PORT":               silence, // in IPv6
}

// The same table with CNI's plugins: what works there works with us.
func TestOracle(t *testing.T) {
	if _, err := os.Stat(filepath.Join(plugins, "portmap")); err != nil {
		t.Fatal("the tests need containernetworking-plugins: ", err)
	}
	var ours, theirs []row
	t.Run("ours", func(t *testing.T) {
		w := newWorld(t)
		w.prepare("1", nil)
		ours = w.scene().try(false)
	})
	t.Run("CNI", func(t *testing.T) {
		w := newWorld(t)
		w.prepare("1", nil)
		defer w.clearCNI()
		theirs = w.cniScene().try(false)
	})
	if !t.Failed() {
		compare(t, ours, theirs)
	}
}

// cniScene makes the scene with CNI's plugins.
func (w *world) cniScene() *scene {
	w.Helper()
	s := &scene{world: w, a: w.box("a"), b: w.box("b"), c: w.box("c")}
	s.ip, s.gateway = map[*box][2]netip.Addr{}, map[*box][2]netip.Addr{}
	one := cniNetwork{w, "one", []string{"10.88.0.0/24", "fd88::/64"}}
	two := cniNetwork{w, "two", []string{"10.89.0.0/24", "fd89::/64"}}
	for b, n := range map[*box]cniNetwork{s.a: one, s.b: one, s.c: two} {
		result, err := n.add(b, b == s.a)
		if err != nil {
			w.Fatal(err)
		}
		var ip, gateway []netip.Addr
		for _, a := range result["ips"].([]any) {
			a := a.(map[string]any)
			ip = append(ip, netip.MustParsePrefix(a["address"].(string)).Addr())
			gateway = append(gateway, netip.MustParseAddr(a["gateway"].(string)))
		}
		s.ip[b], s.gateway[b] = [2]netip.Addr(ip), [2]netip.Addr(gateway)
	}
	return s
}

// clearCNI removes what the plugins leave on the host.
func (w *world) clearCNI() {
	w.Helper()
	host := netns{}
	host.run(w, "nft", "flush", "ruleset")
	for _, name := range []string{"cni-one", "cni-two"} {
		if _, err := netlink.LinkByName(name); err == nil {
			host.run(w, "ip", "link", "del", name)
		}
	}
	links, err := netlink.LinkList()
	if err != nil {
		w.Error(err)
	}
	for _, l := range links { // which would go with their namespaces, some time
		if strings.HasPrefix(l.Attrs().Name, "veth") {
			_ = netlink.LinkDel(l) // it may just have done so
		}
	}
	for _, path := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		if err := os.WriteFile("/proc/sys/net/"+path, []byte("0"), 0); err != nil {
			w.Error(err)
		}
	}
	w.before = w.machine()
}

func compare(t *testing.T, mine, theirs []row) {
	t.Helper()
	type key struct{ what, version, protocol string }
	of := map[key]row{}
	for _, r := range mine {
		of[key{r.what, r.version, r.protocol}] = r
	}
	for _, cni := range theirs {
		r := of[key{cni.what, cni.version, cni.protocol}]
		if r.ok() == cni.ok() {
			continue
		}
		if strings.HasSuffix(cni.got, syscall.EHOSTUNREACH.Error()) {
			cni.got = silence // with more patience: no neighbour has that address
		}
		t.Logf("%-50s %s %s  ours: %-40s CNI: %s", r.what, r.version, r.protocol, r.got, cni.got)
		if want, known := cniDiffers[r.what]; !r.ok() || !known || !strings.HasPrefix(cni.got, want) {
			t.Errorf("%s, %s, %s: ours %q, CNI %q", r.what, r.version, r.protocol, r.got, cni.got)
		}
	}
}
