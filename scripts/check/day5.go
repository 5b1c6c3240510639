package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// world makes what day 5's steps/world.sh makes, in the sandbox: that plays the
// machine, and has bridge0 with the boxes web and db, and a neighbour, lan. Then
// it runs a script of ours.
func (b *bench) world(script string) {
	steps := filepath.Join(must(repository()), "day5-networks", "steps", "world.sh")
	cmd := exec.Command("sh", steps, "-boxes", "sh", "-euc", script)
	cmd.Env = append(os.Environ(), "WORLD=new") // the namespaces are there
	log := must(os.Create(filepath.Join(b.Top, "world")))
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		do(fmt.Errorf("make the world of day 5: %w: %s", err, text(log.Name())))
	}
}

// at is a command in a network namespace of the world; "" is the machine.
func at(place string, args ...string) *exec.Cmd {
	if place != "" {
		args = append([]string{"ip", "netns", "exec", place}, args...)
	}
	return exec.Command(args[0], args[1:]...)
}

// get asks for a page and says what comes back: the greeting, which names the
// asker's address as it was seen; "refused", "unreachable", or "silence". A busy machine may be
// silent once for want of a processor, so whoever expects an answer asks more than once, and waits longer then.
func get(place, url string, most int) (found string) {
	for _, seconds := range []string{"2", "5", "5", "5"}[:most] {
		if found = ask(place, url, seconds); found != "silence" {
			break
		}
	}
	return found
}

func ask(place, url, seconds string) string {
	out, err := at(place, "timeout", seconds, "busybox", "wget", "-qO-", "http://"+url).CombinedOutput()
	switch said := strings.TrimSpace(string(out)); {
	case err == nil:
		return said
	case strings.Contains(said, "refused"):
		return "refused"
	case strings.Contains(said, "unreachable"):
		return "unreachable"
	default:
		return "silence"
	}
}

// reaches notes whether what a place gets from a URL is the greeting.
func (b *bench) reaches(place, url string, wanted bool, look string) {
	most := 1
	if wanted {
		most = 4
	}
	found := get(place, url, most)
	if !strings.HasPrefix(found, "hello") && !wanted {
		found = "no" // in which way does not matter
	}
	name := place
	if place == "" {
		name = "the machine"
	}
	b.want(name+" gets "+url, strings.HasPrefix(found, "hello") == wanted, found, word(wanted, "hello", "no"), look)
}

func nft(rules string) string {
	out := must(exec.Command("nft", rules).CombinedOutput())
	return strings.TrimSpace(string(out))
}

// whatComesBack: what an asker sees of a route, a switch or a rule that is missing.
func whatComesBack(b *bench) {
	answer := func(place, url string) string {
		if found := get(place, url, 2); !strings.HasPrefix(found, "hello") {
			return found
		}
		return "answer"
	}
	b.world("ip -n web route delete default")
	try := "sh day5-networks/steps/world.sh -boxes, and then the commands of step 2"
	facts := []fact{{"no default route", answer("web", "192.0.2.2"), try}}
	do(at("web", "ip", "route", "add", "default", "via", "10.0.0.1").Run())
	facts = append(facts, fact{"a default route", answer("web", "192.0.2.2"), try})
	do(os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0))
	facts = append(facts, fact{"and ip_forward", answer("web", "192.0.2.2"), try})
	nft("add table ip boxes; add chain ip boxes post { type nat hook postrouting priority srcnat; }; " +
		"add rule ip boxes post ip saddr 10.0.0.0/24 oifname != bridge0 masquerade")
	facts = append(facts, fact{"and masquerade", answer("web", "192.0.2.2"), try})

	try = "the same, and then the commands of step 3"
	nft("add chain ip boxes pre { type nat hook prerouting priority dstnat; }; " +
		"add rule ip boxes pre fib daddr type local tcp dport 8080 dnat to 10.0.0.2:80")
	facts = append(facts, fact{"from the LAN", answer("lan", "192.0.2.1:8080"), try},
		fact{"from the machine", answer("", "192.0.2.1:8080"), try},
		fact{"from web itself", answer("web", "192.0.2.1:8080"), try})
	b.answers(facts)
}

// thirdBox: both ends up, the same subnet, a default route.
func thirdBox(b *bench) {
	b.world("")
	b.launch()
	until(30*time.Second, b.over)
	if !b.want("there is a network namespace app", exists("/run/netns/app"), word(exists("/run/netns/app"), "yes", "no"), "yes", "ip netns; what run.sh says, above") {
		return
	}
	out, _ := at("app", "ip", "-brief", "link", "show", "eth0").Output() // without eth0 it fails, and the next line says so
	state := strings.Fields(string(out) + " none none")[1]
	until(8*time.Second, func() bool { // the kernel notices a moment later
		out, _ = at("app", "ip", "-brief", "link", "show", "eth0").Output()
		state = strings.Fields(string(out) + " none none")[1]
		return state == "UP"
	})
	b.equal("its end of the cable", state, "UP", "ip -brief link, on the machine and in app: a cable is up when both ends are")
	b.reaches("app", "10.0.0.2", true, "ip -n app route: is web a neighbour? and is app one of web's?")
	ping := at("app", "busybox", "ping", "-c", "3", "-W", "3", "192.0.2.1").Run() == nil
	b.want("app reaches the machine's other address, 192.0.2.1", ping, word(ping, "an answer", "none"), "an answer", "ip -n app route get 192.0.2.1")
}

// blackHole: packets that are too long for a part of the way, and no word of it.
func blackHole(b *bench) {
	b.world(`ip link set lan0 mtu 1400
nft "add table ip other; add chain ip other out { type filter hook output priority 0; }; add rule ip other out icmp type destination-unreachable drop"`)
	other := nft("list table ip other")
	b.launch()
	until(30*time.Second, b.over)
	b.reaches("web", "192.0.2.2", true, "step 2: forwarding and masquerading")
	const size = 200000
	for _, place := range []string{"web", "db"} {
		got := filepath.Join(b.Top, "got")
		file := must(os.Create(got))
		server := at("lan", "busybox", "nc", "-l", "-p", "90")
		server.Stdout = file
		open := must(server.StdinPipe()) // nc ends its side when it has nothing more to say
		do(server.Start())
		until(30*time.Second, func() bool { return listens("lan", 90) })
		client := at(place, "busybox", "nc", "192.0.2.2", "90")
		client.Stdin = strings.NewReader(strings.Repeat("x", size))
		do(client.Start())
		for arrived := -1; len(text(got)) != size && len(text(got)) != arrived; { // how much has arrived says it
			arrived = len(text(got))
			until(6*time.Second, func() bool { return len(text(got)) == size })
		}
		end(client)
		open.Close()
		end(server)
		file.Close()
		b.equal("bytes of 200000 that arrive from "+place, len(text(got)), size,
			"ip -n web link, ip link: how long is a packet on each part of the way? ip -n web route get 192.0.2.2; nft list ruleset: who should say so?")
	}
	b.want("the table other, which is not yours", nft("list table ip other") == other, word(nft("list table ip other") == other, "as it was", "changed"), "as it was", "a machine's firewall has its owner")
}

// listens tells whether somebody does on a TCP port of the place. proc_net_tcp.rst: 0A is TCP_LISTEN
func listens(place string, port int) bool {
	out, _ := at(place, "cat", "/proc/net/tcp", "/proc/net/tcp6").Output() // without IPv6 there is no second
	return regexp.MustCompile(fmt.Sprintf(`:%04X [0-9A-F]+:0000 0A `, port)).Match(out)
}

// loopback: a service of the machine's 127.0.0.1 is the machine's alone.
func loopback(b *bench) {
	b.world("busybox httpd -p 127.0.0.1:81 -h /run/www")
	b.launch()
	until(30*time.Second, b.over)
	b.reaches("", "127.0.0.1:8080", true, "step 3: output, route_localnet, masquerade")
	b.reaches("lan", "192.0.2.1:8080", false, "fib daddr type local is more than 127.0.0.1")
	// To a box, 127.0.0.0/8 is on the other side of its cable, if it wants to.
	do(at("db", "sh", "-c", "ip address delete 127.0.0.1/8 dev lo; sysctl -qw net.ipv4.conf.eth0.route_localnet=1; ip route add 127.0.0.0/8 via 10.0.0.1").Run())
	b.reaches("db", "127.0.0.1:81", false,
		"db has deleted its own 127.0.0.1 and routes 127.0.0.0/8 to 10.0.0.1. Which packets for 127.0.0.0/8 has the machine to take, and from which device? A filter in prerouting, priority raw")
	b.reaches("", "127.0.0.1:81", true, "the machine itself still has to get there")
}

// twoNetworks: each reaches the outside, and neither the other.
func twoNetworks(b *bench) {
	b.world(`ip link add bridge1 type bridge; ip address add 10.0.1.1/24 dev bridge1; ip link set bridge1 up
ip netns add app; ip link add app type veth peer name eth0 netns app; ip link set app master bridge1 up
ip -n app link set lo up; ip -n app address add 10.0.1.2/24 dev eth0; ip -n app link set eth0 up; ip -n app route add default via 10.0.1.1
ip netns exec app busybox httpd -p 80 -h /run/www`)
	b.launch()
	until(30*time.Second, b.over)
	b.reaches("web", "192.0.2.2", true, "step 2")
	b.reaches("app", "192.0.2.2", true, "step 2, for bridge1 and 10.0.1.0/24")
	b.reaches("db", "10.0.0.2", true, "two boxes of one bridge; bridge-nf-call-iptables takes them through forward, too")
	b.reaches("app", "10.0.0.2", false, "nft list ruleset: which chain does a packet from bridge1 to bridge0 pass?")
	b.reaches("web", "10.0.1.2", false, "and back")
	b.reaches("app", "192.0.2.1:8080", true, "what web publishes is there for all")
}

// leftover: kill -9, start again, end: one set of rules, then none, and those of
// others as they were.
func leftover(b *bench) {
	b.world(`nft "add table ip other; add chain ip other in { type filter hook input priority 0; }; add rule ip other in tcp dport 23 drop"`)
	other := nft("list table ip other")
	start := func() {
		b.launch()
		until(30*time.Second, func() bool { return strings.Contains(text(b.output.Name()), "ready") || b.over() })
	}
	start()
	b.reaches("lan", "192.0.2.1:8080", true, "what run.sh says, above; it has to say ready")
	do(b.script.Process.Kill())
	<-b.ended
	start()
	if !b.want("after kill -9 it starts again", !b.over(), word(b.over(), "no", "yes"), "yes", "what run.sh says, above") {
		return
	}
	b.equal("rules with dnat, after the second start", strings.Count(nft("list ruleset"), "dnat to"), 1, "nft list ruleset; nft -f: all in one file is one transaction, also add, delete and add again")
	b.reaches("lan", "192.0.2.1:8080", true, "nft list ruleset")
	if err := b.script.Process.Signal(unix.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		do(err)
	}
	b.want("SIGTERM ends it", until(30*time.Second, b.over), word(b.over(), "yes", "no"), "yes", "trap, in sh(1): it is looked at between two commands")
	b.equal("rules with dnat, after its end", strings.Count(nft("list ruleset"), "dnat to"), 0, "nft list ruleset")
	now := "gone"
	if strings.Contains(nft("list tables"), "table ip other") {
		now = word(nft("list table ip other") == other, "as it was", "changed")
	}
	b.equal("the table other, which is not yours", now, "as it was", "nft(8): which of the commands are about your table only?")
}
