package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Containers on a network find each other by name, alias and id; those on
// another one neither find nor reach them.
func TestByName(t *testing.T) {
	w := newWorld(t)
	w.ok("network", "create", "one")
	w.web("web", "--net", "one", "--network-alias", "www", "--network-alias", "Both")
	w.web("db", "--network", "one", "--network-alias", "both")
	id := w.ok("ps", "-q", "-f", "name=web")
	for _, name := range []string{"web", "WEB", "www", id, "web.one", "web."} {
		if got := w.ok("exec", "db", "wget", "-qO-", "http://"+name+"/hostname"); got != "web" {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := w.ok("exec", "web", "wget", "-qO-", "http://db/hostname"); got != "db" {
		t.Errorf("the other way: %q", got)
	}
	address := w.address("web", "one")
	if got := w.ok("exec", "db", "nslookup", "-type=a", "both"); !strings.Contains(got, address) || !strings.Contains(got, w.address("db", "one")) {
		t.Errorf("an alias of two: %s", got)
	}
	if got := w.ok("exec", "db", "nslookup", address); !strings.Contains(got, "name = web.one") {
		t.Errorf("the name of an address: %s", got)
	}
	w.web("far")
	if got := netnsOf(t, w.state("far").PID).get(address+":80", "/hostname"); got != "silence" {
		t.Errorf("another network reaches it: %q", got)
	}
	if got := w.do("exec", "far", "nslookup", "web"); got.status == 0 {
		t.Errorf("another network finds it: %+v", got)
	}
	if hosts := w.ok("exec", "web", "cat", "/etc/hosts"); !strings.Contains(hosts+"\n", address+"\tweb\n") {
		t.Errorf("/etc/hosts: %s", hosts)
	}
	// Resolvers have a container's capabilities, and end with the last
	// container.
	w.until("a resolver runs for each of two networks", func() bool { return len(w.resolvers()) == 2 })
	for _, pid := range w.resolvers() {
		want := regexp.MustCompile(`CapEff:\s(\w+)`).FindString(w.ok("exec", "web", "cat", "/proc/self/status"))
		if status := w.read("/proc/" + pid + "/status"); !strings.Contains(status, want) {
			t.Errorf("a resolver's capabilities are not %s: %s", want, status)
		}
	}
	w.ok("rm", "-f", "web", "db", "far")
	w.until("no resolver runs", func() bool { return len(w.resolvers()) == 0 })
}

// A container on two networks knows the names of both.
func TestTwoNetworks(t *testing.T) {
	w := newWorld(t)
	w.ok("network", "create", "one")
	w.ok("network", "create", "two")
	w.web("first", "--net", "one", "--network-alias", "same")
	w.web("second", "--net", "two", "--network-alias", "same")
	w.web("both", "--net", "two", "--net", "one")
	w.web("other", "--net", "one", "--net", "two")
	for _, test := range [][3]string{
		{"both", "first", "first"}, {"both", "second", "second"}, {"both", "same", "second"},
		{"other", "same", "first"}, {"first", "same", "first"}, {"second", "same", "second"},
		{"first", "both", "both"}, {"second", "both", "both"},
	} {
		if got := w.ok("exec", test[0], "wget", "-qO-", "http://"+test[1]+"/hostname"); got != test[2] {
			t.Errorf("%s asks %s: %q, want %q", test[0], test[1], got, test[2])
		}
	}
}

// A published port answers wherever it should, and an unpublished one does not.
// Also -P, UDP, chosen ports, and how they are shown.
func TestPublished(t *testing.T) {
	w := newWorld(t)
	lan := newLAN(t)
	w.ok("import", "-c", "EXPOSE 80 53/udp", w.tar(), "exposing")
	w.web("web", "-p", "8080:80", "-p", "127.0.0.1:8081:80")
	for _, test := range []struct {
		from     netns
		at, want string
	}{
		{netns{}, hostIP + ":8080", "web"},
		{netns{}, "127.0.0.1:8080", "web"},
		{netns{}, "127.0.0.1:8081", "web"},
		{netns{}, hostIP + ":8081", "refused"},
		{lan, hostIP + ":8080", "web"},
		{lan, hostIP + ":8081", "refused"},
		{lan, w.address("web", "bridge") + ":80", "silence"},
	} {
		if got := test.from.get(test.at, "/hostname"); got != test.want {
			t.Errorf("%s: %q, want %q", test.at, got, test.want)
		}
	}
	if got := w.ok("exec", "web", "wget", "-qO-", "http://"+hostIP+":8080/hostname"); got != "web" {
		t.Errorf("its own published port: %q", got)
	}
	if got, want := w.ok("ps", "--format", "{{.Ports}}"), "0.0.0.0:8080->80/tcp, 127.0.0.1:8081->80/tcp"; got != want {
		t.Errorf("ps: %q, want %q", got, want)
	}
	if got, want := w.ok("port", "web"), "80/tcp -> 0.0.0.0:8080\n80/tcp -> 127.0.0.1:8081"; got != want {
		t.Errorf("port: %q, want %q", got, want)
	}
	if got := w.ok("port", "web", "80"); got != "0.0.0.0:8080\n127.0.0.1:8081" {
		t.Errorf("port 80: %q", got)
	}
	w.fails(1, "no public port '80/udp' published for web", "port", "web", "80/udp")
	w.ok("rm", "-f", "web")
	if got := (netns{}).get("127.0.0.1:8080", "/hostname"); got != "refused" {
		t.Errorf("after the end: %q", got)
	}
	id := w.ok("run", "-d", "-P", "exposing", "httpd", "-f", "-h", "/etc")
	shown := w.ok("ps", "--format", "{{.Ports}}")
	m := regexp.MustCompile(`^0\.0\.0\.0:(\d+)->80/tcp, 0\.0\.0\.0:\d+->53/udp$`).FindStringSubmatch(shown)
	if m == nil {
		t.Fatalf("-P: %q", shown)
	}
	w.until("the chosen port answers", func() bool { return lan.get(hostIP+":"+m[1], "/hostname") == id })
	// The port is held, so no other program gets it.
	if l, err := net.Listen("tcp4", ":"+m[1]); err == nil {
		l.Close()
		t.Error("another program has got the port")
	}
}

// On a network with IPv6 a port is published for both, with one number.
func TestPublishedIPv6(t *testing.T) {
	w := newWorld(t)
	lan := newLAN(t)
	const host6, lan6 = "2001:db8::1", "2001:db8::2"
	netns{}.run(t, "ip addr add "+host6+"/64 dev up0 nodad")
	lan.run(t, "ip addr add "+lan6+"/64 dev eth0 nodad")
	w.ok("network", "create", "--ipv6", "six")
	w.web("web", "--net", "six", "-p", "80", "--network-alias", "www")
	// The LAN's own link needs a moment to find its neighbours.
	w.until("the LAN reaches the host", func() bool { return lan.get("["+host6+"]:1", "") == "refused" })
	port := strings.TrimPrefix(strings.Split(w.ok("port", "web", "80"), "\n")[0], "0.0.0.0:")
	if got, want := w.ok("port", "web", "80"), "0.0.0.0:"+port+"\n[::]:"+port; got != want {
		t.Errorf("port: %q, want %q", got, want)
	}
	if got, want := w.ok("ps", "--format", "{{.Ports}}"), "0.0.0.0:"+port+"->80/tcp, [::]:"+port+"->80/tcp"; got != want {
		t.Errorf("ps: %q, want %q", got, want)
	}
	for _, test := range []struct {
		from     netns
		at, want string
	}{
		{lan, "[" + host6 + "]:" + port, "web"}, {lan, hostIP + ":" + port, "web"},
		{netns{}, "[" + host6 + "]:" + port, "web"}, {netns{}, "[::1]:" + port, "refused"},
	} {
		if got := test.from.get(test.at, "/hostname"); got != test.want {
			t.Errorf("%s: %q, want %q", test.at, got, test.want)
		}
	}
	address := w.ok("inspect", "-f", "{{.NetworkSettings.Networks.six.GlobalIPv6Address}}", "web")
	if got := w.ok("run", "--rm", "--net", "six", "box", "nslookup", "-type=aaaa", "www"); !strings.Contains(got, address) {
		t.Errorf("AAAA: %s; want %s", got, address)
	}
	if got := w.ok("run", "--rm", "--net", "six", "box", "nslookup", address); !strings.Contains(got, "web.six") {
		t.Errorf("PTR: %s", got)
	}
}

// With a firewall that drops unknown packets, like ufw's and Docker's, names
// and published ports still work, the rules added are reported, and they are
// removed again.
func TestForeignFirewall(t *testing.T) {
	w := newWorld(t)
	lan := newLAN(t)
	host := netns{}
	host.run(t, "nft add table ip filter")
	t.Cleanup(func() { host.run(t, "nft delete table ip filter") })
	for _, chain := range []string{"INPUT", "FORWARD"} {
		host.run(t, "nft add chain ip filter "+chain+" { type filter hook "+strings.ToLower(chain)+" priority filter ; policy drop ; }")
	}
	before := host.run(t, "nft list ruleset")
	got := w.do("run", "-d", "--name", "web", "--hostname", "web", "-p", "8080:80", "box", "httpd", "-f", "-h", "/etc")
	if got.status != 0 || !strings.Contains(got.stderr, "info: iptables' chain FORWARD drops") {
		t.Errorf("run: %+v", got)
	}
	w.until("the LAN reaches it", func() bool { return lan.get(hostIP+":8080", "/hostname") == "web" })
	if got := w.do("run", "--rm", "box", "wget", "-qO-", "http://web/hostname"); got.status != 0 || got.stdout != "web\n" {
		t.Errorf("by name: %+v", got)
	}
	w.ok("rm", "-f", "web")
	if after := host.run(t, "nft list ruleset"); after != before {
		t.Errorf("the firewall was\n%s\nand is\n%s", before, after)
	}
}

// tar returns a file with the root of the tests' image.
func (w *world) tar() string {
	w.Helper()
	path := filepath.Join(w.TempDir(), "root.tar")
	if err := os.WriteFile(path, busyboxTar(w), 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

// A port that is taken is an error before anything runs, and leaves nothing
// behind.
func TestPortTaken(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp4", "127.0.0.1:9000")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w.fails(125, "bind 0.0.0.0:9000/tcp: address already in use", "run", "-d", "--name", "web", "-p", "9000:80", "box", "touch", "/ran")
	if got := w.ok("ps", "-aq"); got != "" {
		t.Errorf("a container is left: %s", got)
	}
	if left := w.records(); len(left) > 0 {
		t.Errorf("on record: %q", left)
	}
	w.ok("create", "--name", "late", "-p", "9000:80", "box", "httpd", "-f", "-h", "/etc")
	w.fails(1, "address already in use", "start", "late")
	l.Close()
	w.ok("start", "late")
	w.fails(125, "another program or container", "run", "-p", "9000:80", "box", "true")
	w.ok("run", "--rm", "-p", "9000:80/udp", "box", "true") // another protocol
}

// Networks host, none and another container's.
func TestModes(t *testing.T) {
	w := newWorld(t)
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	var host, inside unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &host); err != nil {
		t.Fatal(err)
	}
	if got := w.ok("run", "--rm", "--net", "host", "box", "sh", "-c", "stat -Lc %i /proc/self/ns/net; hostname; ls /sys/class/net"); got != fmt.Sprintf("%d\n%s\nlo", host.Ino, own) {
		t.Errorf("--net host: %q", got)
	}
	if got := w.ok("run", "--rm", "-net", "none", "box", "sh", "-c", "ip -o link | wc -l; ping -c 1 -w 30 127.0.0.1 >/dev/null && echo up"); got != "1\nup" {
		t.Errorf("-net none: %q", got)
	}
	w.web("web", "-p", "8080:80", "--add-host", "more:192.0.2.9")
	if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", w.state("web").PID), &inside); err != nil {
		t.Fatal(err)
	}
	const look = "stat -Lc %i /proc/self/ns/net; hostname; grep -c more /etc/hosts; wget -qO- http://127.0.0.1/hostname; ls /sys/class/net"
	want := fmt.Sprintf("%d\nweb\n1\nweb\neth0\nlo", inside.Ino)
	if got := w.ok("run", "--rm", "--net", "container:web", "box", "sh", "-c", look); got != want {
		t.Errorf("container:web: %q, want %q", got, want)
	}
	w.ok("run", "-d", "--name", "side", "--net", "container:web", "box", "sleep", "1000")
	if got := w.ok("exec", "side", "sh", "-c", look); got != want {
		t.Errorf("exec: %q, want %q", got, want)
	}
	if got := w.ok("run", "--rm", "--net", "container:side", "box", "sh", "-c", look); got != want {
		t.Errorf("container:side: %q, want %q", got, want)
	}
	id := w.ok("inspect", "-f", "{{.Id}}", "web")
	if got := w.ok("inspect", "-f", "{{.HostConfig.NetworkMode}}", "side"); got != "container:"+id {
		t.Errorf("inspect: %q", got)
	}
	w.ok("stop", "-t", "0", "web")
	w.fails(1, "join the network of container "+id+": the container is not running", "restart", "-t", "0", "side")
	w.fails(125, "is not running", "run", "--net", "container:web", "box", "true")
	w.ok("start", "web")
	w.ok("start", "side")
	if got := w.ok("exec", "side", "hostname"); got != "web" {
		t.Error(got)
	}
	w.fails(1, "cannot be on another", "network", "connect", "bridge", "side")
}

// Options that do not go together give a single line and status 125, and
// nothing is made.
func TestNetworkRefused(t *testing.T) {
	w := newWorld(t)
	w.ok("run", "-d", "--name", "web", "box", "sleep", "1000")
	w.ok("network", "create", "--internal", "--subnet", "10.9.0.0/24", "shut")
	for _, test := range [][2]string{
		{"--net host -p 80", "conflicting options"},
		{"--net none -P", "conflicting options"},
		{"--net host --ip 10.0.0.2", "conflicting options"},
		{"--net none --network-alias x", "conflicting options"},
		{"--net host --mac-address 02:42:0a:09:00:02", "conflicting options"},
		{"--net container:web --hostname x", "conflicting options"},
		{"--net container:web --add-host a:192.0.2.1", "conflicting options"},
		{"--net container:web --dns 192.0.2.1", "conflicting options"},
		{"--net bridge --net host", "conflicting options"},
		{"--net host --net bridge", "conflicting options"},
		{"--net shut -p 80", "internal"},
		{"--net nowhere", "no such network"},
		{"--net container:nobody", "no such container"},
		{"-p 0:80", "invalid port"},
		{"-p 80-90:80-81", "one length"},
		{"-p [::1]:80:80", "127.0.0.1"},
		{"-p 192.0.2.99:80:80", "no address of this host"},
		{"--ip 1.2.3", "invalid --ip"},
		{"--ip fd00::2", "IPv4"},
		{"--ip6 10.9.0.2", "IPv6"},
		{"--ip6 fe80::2%eth0", "invalid --ip6"},
		{"--net shut --ip 10.9.1.2", "not in the subnet"},
		{"--net shut --ip 10.9.0.1", "in use"},
		{"--net shut --ip 10.9.0.255", "10.9.0.255"},
		{"--ip6 fd00::1", "no IPv6"},
		{"--mac-address 1:2", "invalid --mac-address"},
		{"--network-alias a/b", "invalid alias"},
		{"--dns here", "invalid --dns"},
	} {
		w.fails(125, test[1], append(append([]string{"run", "--name", "bad"}, strings.Split(test[0], " ")...), "box", "true")...)
	}
	if got := w.ok("ps", "-a", "--format", "{{.Names}}"); got != "web" {
		t.Errorf("there is %q", got)
	}
	if got := w.records(); len(got) != 2 { // web's, and the changes made for it
		t.Errorf("on record: %q", got)
	}
}

// connect and disconnect act on a running container, and on its next start.
func TestConnectLive(t *testing.T) {
	w := newWorld(t)
	w.ok("network", "create", "one")
	w.ok("network", "create", "--subnet", "10.9.0.0/24", "two")
	w.web("web", "--net", "one", "-p", "8080:80")
	w.web("far", "--net", "two")
	w.ok("network", "connect", "--ip", "10.9.0.77", "--alias", "www", "two", "web")
	w.fails(1, "is on network two already", "network", "connect", "two", "web")
	check := func(when string) {
		t.Helper()
		if got := w.ok("exec", "far", "wget", "-qO-", "http://www/hostname"); got != "web" {
			t.Errorf("%s: %q", when, got)
		}
		if got := w.ok("exec", "web", "wget", "-qO-", "http://far/hostname"); got != "far" {
			t.Errorf("%s, back: %q", when, got)
		}
		if got := w.ok("exec", "web", "cat", "/etc/hosts"); !strings.Contains(got, "10.9.0.77\tweb") {
			t.Errorf("%s: /etc/hosts: %s", when, got)
		}
	}
	check("connected")
	if got := w.ok("network", "inspect", "-f", "{{range .Containers}}{{.Name}}={{.IPv4Address}} {{end}}", "two"); !strings.Contains(got, "web=10.9.0.77/24") {
		t.Errorf("inspect: %q", got)
	}
	w.ok("restart", "-t", "0", "web")
	w.until("it serves", func() bool { return w.do("exec", "web", "wget", "-qO-", "http://127.0.0.1/hostname").status == 0 })
	check("restarted")
	w.fails(1, "in use by", "network", "rm", "two")
	w.ok("network", "disconnect", "two", "web")
	w.fails(1, "is not on network two", "network", "disconnect", "two", "web")
	if got := w.do("exec", "far", "nslookup", "www"); got.status == 0 {
		t.Errorf("it is still known: %+v", got)
	}
	if got := w.ok("exec", "web", "ls", "/sys/class/net"); got != "eth0\nlo" {
		t.Errorf("disconnected: %q", got)
	}
	if got := (netns{}).get("127.0.0.1:8080", "/hostname"); got != "web" {
		t.Errorf("its published port: %q", got)
	}
	// A container that is not running.
	w.ok("stop", "-t", "0", "web")
	w.ok("network", "connect", "two", "web")
	id := w.ok("inspect", "-f", "{{.Id}}", "web")
	w.fails(1, id+" is on network two already", "network", "connect", "two", "web")
	w.ok("network", "disconnect", "one", "web")
	w.fails(1, id+" is not on network one", "network", "disconnect", "one", "web")
	w.ok("start", "web")
	if got := w.ok("inspect", "-f", "{{range $name, $e := .NetworkSettings.Networks}}{{$name}} {{$e.Gateway}}{{end}}", "web"); got != "two 10.9.0.1" {
		t.Errorf("started again: %q", got)
	}
}

// network create, ls, inspect, rm, prune.
func TestNetworkCommands(t *testing.T) {
	w := newWorld(t)
	id := w.ok("network", "create", "--driver", "bridge", "--subnet", "10.9.0.0/24", "--gateway", "10.9.0.7", "--ip-range", "10.9.0.128/25",
		"-o", "com.docker.network.driver.mtu=1400", "--ipv6", "--internal", "plain")
	if !regexp.MustCompile(`^[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("create: %q", id)
	}
	w.ok("network", "create", "-d", "bridge", "-o", "mtu=1300", "spare")
	if got := w.ok("network", "list", "--format", "{{.Name}} {{.Driver}} {{.Scope}} {{.IPv6}}"); got != "bridge bridge local false\nhost host local false\nnone null local false\nplain bridge local true\nspare bridge local false" {
		t.Errorf("list: %q", got)
	}
	if got := strings.Fields(w.ok("network", "ls", "-q")); len(got) != 3 || got[1] != id {
		t.Errorf("ls -q: %q", got)
	}
	if got := strings.Split(w.ok("network", "ls"), "\n"); len(got) != 6 || !regexp.MustCompile(`^NETWORK ID +NAME +DRIVER +SCOPE$`).MatchString(got[0]) {
		t.Errorf("ls: %q", got)
	}
	var inspected []struct {
		Name, ID, Driver, Scope string
		EnableIPv6, Internal    bool
		IPAM                    struct {
			Config []struct{ Subnet, IPRange, Gateway string }
		}
		Options    map[string]string
		Containers map[string]struct{ Name, MacAddress, IPv4Address, IPv6Address string }
	}
	w.ok("run", "-d", "--name", "web", "--net", "plain", "--mac-address", "02:42:00:00:00:09", "box", "sleep", "1000")
	if err := json.Unmarshal([]byte(w.ok("network", "inspect", id[:6])), &inspected); err != nil || len(inspected) != 1 {
		t.Fatal(err, inspected)
	}
	i := inspected[0]
	v6 := i.IPAM.Config[1]
	i.IPAM.Config = i.IPAM.Config[:1]
	if got, want := fmt.Sprintln(i.Name, i.Driver, i.Scope, i.EnableIPv6, i.Internal, i.IPAM.Config, i.Options["com.docker.network.driver.mtu"]), "plain bridge local true true [{10.9.0.0/24 10.9.0.128/25 10.9.0.7}] 1400\n"; got != want {
		t.Errorf("inspect: %s, want %s", got, want)
	}
	for _, c := range i.Containers {
		if c.Name != "web" || c.MacAddress != "02:42:00:00:00:09" || c.IPv4Address != "10.9.0.128/24" || !strings.HasPrefix(v6.Subnet, "fd") || !strings.HasPrefix(c.IPv6Address, "fd") {
			t.Errorf("inspect: %+v, %+v", c, v6)
		}
	}
	if got := w.ok("exec", "web", "cat", "/sys/class/net/eth0/mtu", "/sys/class/net/eth0/address"); got != "1400\n02:42:00:00:00:09" {
		t.Errorf("in the container: %q", got)
	}
	w.fails(1, "in use by web", "network", "rm", "plain")
	w.ok("stop", "-t", "0", "web")
	if got := w.ok("network", "prune", "-f"); got != "spare" {
		t.Errorf("prune keeps what a stopped container is to be on: %q", got)
	}
	if got := w.ok("network", "remove", "plain"); got != "plain" {
		t.Errorf("remove: %q", got)
	}
	w.fails(1, "no such network", "start", "web")
	for _, test := range []struct{ args, word string }{
		{"create bridge", "already exists"},
		{"create host", "host"},
		{"create --driver overlay x", "--driver"},
		{"create --subnet 10.9.0.1/24 x", "10.9.0.0/24"},
		{"create --subnet ten x", "invalid --subnet"},
		{"create --subnet 10.9.0.0/24 --ip-range 10.9.0.1/25 x", "10.9.0.0/25"},
		{"create --subnet 10.9.0.0/24 --gateway one x", "invalid --gateway"},
		{"create --subnet 10.9.0.0/24 --gateway 10.8.0.1 x", "10.8.0.1"},
		{"create --subnet 10.9.0.0/24 --ip-range 10.8.0.0/24 x", "10.8.0.0/24"},
		{"create --gateway 10.9.0.1 x", "--subnet"},
		{"create -o mtu=x x", "invalid --opt"},
		{"create -o colour=red x", "invalid --opt"},
		{"create", "requires NAME"},
		{"rm bridge", "pre-defined"},
		{"rm none", "pre-defined"},
		{"ls x", "no arguments"},
		{"connect bridge", "requires NETWORK CONTAINER"},
		{"connect bridge nobody", "no such container"},
		{"connect nowhere web", "no such network"},
		{"frobnicate", "unknown command"},
	} {
		w.fails(1, test.word, append([]string{"network"}, strings.Fields(test.args)...)...)
	}
	got := w.do("network", "rm", "nowhere")
	if got.status != 1 || !strings.Contains(got.stderr, "no such network: nowhere") {
		t.Errorf("rm nowhere: %+v", got)
	}
	w.fails(1, "no such network", "network", "rm", "nowhere")
	if got := w.do("network", "inspect", "nowhere"); got.status != 1 || got.stdout != "[]\n" {
		t.Errorf("inspect nowhere: %+v", got)
	}
}

// The root directory is made while the container is connected. When that fails, it
// is what the user is told, whichever is done first, and the network is left.
func TestRootThatFailsMeanwhile(t *testing.T) {
	w := newWorld(t)
	newLAN(t)
	before := w.machine()
	for range times(10) {
		w.fails(125, "change to the working directory", "run", "--rm", "-p", "9000:80", "-w", "/bin/sh", "box", "touch", "/ran")
		w.fails(127, "/nosuch", "run", "--rm", "-p", "9000:80", "box", "/nosuch")
	}
	w.until("nothing left", func() bool { return w.machine() == before })
}

// A damaged network.json concerns its own network only, and the error says what to
// do.
func TestNetworkDamaged(t *testing.T) {
	w := newWorld(t)
	id := w.ok("network", "create", "x")
	w.web("on", "--net", "x")
	w.web("other")
	for _, text := range []string{"", "{}"} {
		if err := os.WriteFile(filepath.Join(w.root, "networks", id, "network.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := w.ok("ps", "--format", "{{.Names}} {{.State}}"); !strings.Contains(got, "on running") || !strings.Contains(got, "other running") {
			t.Errorf("ps: %q", got)
		}
	}
	w.ok("run", "--rm", "box", "true")
	w.ok("inspect", "on")
	if got := w.do("network", "ls"); got.status != 0 || !strings.Contains(got.stdout, id) {
		t.Errorf("network ls: %+v", got)
	}
	w.fails(125, "network rm "+id, "run", "--rm", "--net", "x", "box", "true")
	w.fails(1, "network rm "+id, "network", "rm", "x")
	w.fails(1, "in use by on", "network", "rm", id)
	w.ok("rm", "-f", "other")
	w.ok("rm", "-f", "on")
	w.ok("network", "rm", id)
	w.ok("network", "create", "x")
	w.ok("run", "--rm", "--net", "x", "box", "true")
}

// A container whose networks cannot be read is listed with all others, and can be
// removed.
func TestConnectionsDamaged(t *testing.T) {
	w := newWorld(t)
	id := w.ok("create", "--name", "bad", "box", "true")
	w.ok("create", "--name", "good", "box", "true")
	if err := os.WriteFile(filepath.Join(w.root, "containers", id, "network.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := w.do("ps", "-a", "--format", "{{.Names}} {{.Networks}}")
	if got.status != 0 || got.stdout != "good bridge\nbad \n" || !strings.Contains(got.stderr, "container "+id+" is connected") {
		t.Errorf("%+v", got)
	}
	w.fails(125, id, "start", "-a", "bad")
	w.ok("rm", "bad")
}

// Whatever command comes after nft flush ruleset puts our rules back.
func TestNetworkFlushed(t *testing.T) {
	w := newWorld(t)
	w.web("web")
	host := netns{}
	before := host.run(t, "nft list ruleset")
	for _, command := range []string{"ps", "logs web"} {
		host.run(t, "nft flush ruleset")
		w.ok(strings.Fields(command)...)
		if after := host.run(t, "nft list ruleset"); after != before {
			t.Errorf("after %s the rules are\n%s\nand were\n%s", command, after, before)
		}
	}
}
