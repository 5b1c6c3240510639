package steps_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The tests have a network namespace of their own, too. In it each rung makes its world, and must leave nothing.
func init() {
	namespaces |= unix.CLONE_NEWNET
	switch role := os.Getenv("STEPS_ROLE"); {
	case role == "upstream":
		upstream()
	case role != "":
		ask(role)
	}
}

// upstream is a name server on the LAN, which knows one name; in a process of its own.
func upstream() {
	dns.HandleFunc(".", func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		if question.Question[0].Name == "example.org." {
			rr, _ := dns.NewRR("example.org. 60 IN A 203.0.113.7")
			answer.Answer = append(answer.Answer, rr)
		} else {
			answer.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(answer)
	})
	for _, network := range []string{"udp", "tcp"} {
		server := &dns.Server{Addr: "192.0.2.2:53", Net: network}
		go func() { fmt.Fprintln(os.Stderr, "upstream:", server.ListenAndServe()); os.Exit(1) }()
	}
	select {}
}

// ask prints what the resolver of step 9 says to a question such as "tcp AAAA web"; in a process of its own.
func ask(role string) {
	f := strings.Fields(role)
	client := &dns.Client{Net: f[0], Timeout: 20 * time.Second} // the resolver itself waits for 2 for each server
	answer, _, err := client.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(f[2]), dns.StringToType[f[1]]), "10.0.0.1:53")
	if err != nil {
		fmt.Println(role, err)
		os.Exit(1)
	}
	fmt.Print(role, ": ", dns.RcodeToString[answer.Rcode])
	for _, rr := range answer.Answer {
		fmt.Print(" ", strings.ReplaceAll(rr.String(), "\t", " "))
	}
	fmt.Println()
	os.Exit(0)
}

// untouched fails the test if anything has changed in the network namespace in which rungs make their worlds.
func untouched(t testing.TB) {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if link.Attrs().Name != "lo" {
			t.Errorf("left behind: the link %s", link.Attrs().Name)
		}
	}
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := c.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		t.Errorf("left behind: the table %s", table.Name)
	}
}

// shell runs a shell rung.
func shell(t testing.TB, name string) result {
	t.Helper()
	needRoot(t)
	got := run(t, rung(t, name))
	got.ends(t, 0)
	untouched(t)
	return got
}

// What all scripts of play know: ask who is at a URL, for at most so many seconds; wait for something.
const tools = `
get() { timeout ${most-20} busybox wget -qO- "$@" 2>&1 || echo "no answer"; }
lan() { ip netns exec lan timeout ${most-20} busybox wget -qO- "$@" 2>&1 || echo "no answer"; }
await() { late=$(($(date +%s) + 60)); until eval "$1" >/dev/null 2>&1; do sleep 0.05; [ "$(date +%s)" -lt $late ] || { echo "never: $1"; exit 1; }; done; }
state() { ip -o link | cut -d " " -f 2 | tr -d : | cut -d @ -f 1 | sort | tr '\n' ' '; echo; nft list ruleset; cat /proc/sys/net/ipv4/ip_forward; }
`

func inWorld(t testing.TB, script string) *exec.Cmd {
	t.Helper()
	cmd := rung(t, "01-bridge.sh")
	cmd.Args = []string{"sh", "world.sh", "sh", "-euc", script}
	return cmd
}

// play runs a script in a world of its own, with the Go rungs as commands.
func play(t testing.TB, script string, rungs ...string) result {
	t.Helper()
	needRoot(t)
	var bin string
	for _, name := range rungs {
		bin = filepath.Dir(rung(t, name).Path)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := inWorld(t, tools+script)
	cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"), "SELF="+self)
	p := start(t, cmd)
	p.timer.Reset(5 * patience()) // it does what many rungs do
	got := p.wait(t)
	got.clean(t)
	got.ends(t, 0)
	untouched(t)
	return got
}

var noise = regexp.MustCompile(`^(\$ .*|(Killed|Terminated) *)\n`)

// said are the lines that are neither commands nor what a shell says of killed jobs.
func (r result) said() (lines []string) {
	for line := range strings.Lines(r.out) {
		if !noise.MatchString(line) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// is fails the test unless these are the lines that are no commands, each a pattern.
func (r result) is(t testing.TB, patterns ...string) {
	t.Helper()
	lines := r.said()
	same := len(lines) == len(patterns)
	for i := 0; same && i < len(lines); i++ {
		same = regexp.MustCompile("^(?:" + patterns[i] + ")$").MatchString(lines[i])
	}
	if !same {
		t.Errorf("printed\n%s\nwant\n%s", r.out, strings.Join(patterns, "\n"))
	}
}

func TestBridge(t *testing.T) {
	got := shell(t, "01-bridge.sh")
	got.has(t, `^lo +DOWN`, `^10.0.0.0/24 dev eth0`, `^[0-9a-f:]+ dev web master bridge0`, `^[0-9a-f:]+ dev db master bridge0`)
	var pings []string
	for _, m := range regexp.MustCompile(`(?m)^(PING \S+|ping: .*|.* packets received)`).FindAllString(got.out, -1) {
		_, m, _ = strings.Cut(m, " ")
		pings = append(pings, m)
	}
	unreachable, answer := "sendto: Network is unreachable", "packets transmitted, 1 packets received"
	want := []string{"10.0.0.1", unreachable, "10.0.0.1", unreachable, "10.0.0.1", answer, "192.0.2.1", unreachable, "192.0.2.1", answer, "10.0.0.2", answer}
	if !slices.Equal(pings, want) {
		t.Errorf("pings %q, want %q", pings, want)
	}
}

func TestNat(t *testing.T) {
	got := shell(t, "02-nat.sh")
	got.has(t, `^net.ipv4.ip_forward = 0$`, `counter packets [1-9]`, `^RTNETLINK answers: Network is unreachable$`)
	var hellos []string
	for _, line := range got.said() {
		if strings.HasPrefix(line, "hello") {
			hellos = append(hellos, line)
		}
	}
	// The machine; the box, behind the machine's address; and, the fault, a neighbour who gets in.
	if want := []string{"hello, 192.0.2.1", "hello, 192.0.2.1", "hello, 192.0.2.2"}; !slices.Equal(hellos, want) {
		t.Errorf("%q, want %q", hellos, want)
	}
}

func TestPublish(t *testing.T) {
	refused := `wget: can't connect to remote host \(192.0.2.1\): Connection refused`
	shell(t, "03-publish.sh").is(t, refused, "hello, 192.0.2.2", refused, "hello, 192.0.2.1",
		"net.ipv4.conf.bridge0.route_localnet = 1", "hello, 10.0.0.1", "hello, 10.0.0.1")
}

func TestNames(t *testing.T) {
	got := shell(t, "04-names.sh")
	// The resolver, too, may say something, when a client has not waited for its answer.
	if hello := got.after(t, "$ ip netns exec db busybox wget -qO- http://web"); !slices.Contains(strings.Split(hello, "\n"), "hello, 10.0.0.3") {
		t.Errorf("web by its name: %q", hello)
	}
	got.has(t, `getent ahostsv4 web; rm .*\n10.0.0.2 +STREAM web$`, `^10.0.0.2 +STREAM web$`, `^10.0.0.3 +STREAM db$`)
	got.hasNot(t, `nobody$\n10\.`) // no address
}

// A world that is killed takes all with it that ran there.
func TestWorldKilled(t *testing.T) {
	needRoot(t)
	p := start(t, inWorld(t, `ip netns exec lan sleep 60 & setsid sleep 61 & echo ready; wait`))
	p.until(t, "ready")
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	got := p.wait(t)
	got.ends(t, 137)
	got.clean(t)
	untouched(t)
}

func TestVeth(t *testing.T) {
	got := play(t, `
05-veth sh -c 'hostname; ip -4 -brief address; ip route; busybox ping -c 1 -W 20 10.0.0.1'
await '! ip link | grep veth' # the first's, which the kernel removes a moment later
05-veth sh -c 'until [ -e /run/end ]; do sleep 0.1; done' & await 'ip route | grep veth'
05-veth busybox ping -c 1 -W 1 10.0.0.1 || echo "the second hears nothing"
touch /run/end; wait; await '! ip link | grep veth'; state
`, "05-veth")
	got.has(t, `^box$`, `^lo +UNKNOWN +127.0.0.1/8 *$`, `^eth0@if\d+ +(UP|DOWN) +10.0.0.2/24 *$`, `^default via 10.0.0.1 dev eth0`,
		` 1 packets received`, ` 0 packets received[^\n]*\nerror: exit status 1\nthe second hears nothing$`, `^lan0 lo \n0$`)
}

// A child whose parent has died before the cable was there runs nothing.
func TestVethWithoutParent(t *testing.T) {
	for _, name := range []string{"05-veth", "06-bridge"} {
		got := play(t, `unshare --uts --mount bash -c 'exec -a inside "$(command -v `+name+`)" name echo it runs 3< <(:)' || true`, name)
		got.is(t, "error: EOF")
	}
}

func TestBoxes(t *testing.T) {
	got := play(t, `
06-bridge web sh -c 'busybox httpd -f -p 80 -h /run/www' & await 'get 10.0.0.2 | grep hello'
06-bridge db sh -c 'hostname; busybox wget -qO- 10.0.0.2; cat /etc/resolv.conf; timeout 1 busybox wget -qO- 192.0.2.2 || echo nobody outside'
grep -q 10.0.0.1 /etc/resolv.conf || echo "the machine asks where it asked"
kill $!; wait $! || true; await '! ip link | grep veth'; state
`, "06-bridge")
	// Its faults: nobody outside, and the bridge stays.
	got.is(t, "db", "hello, 10.0.0.3", "nameserver 10.0.0.1", "nobody outside",
		"the machine asks where it asked", "bridge0 lan0 lo ", "0")
}

// times is how often something is tried that chance could get right.
func times(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// All that start at once have addresses of their own.
func TestAddresses(t *testing.T) {
	n := times(50)
	got := play(t, fmt.Sprintf(`
for i in $(seq %d); do
	06-bridge b$i sh -c 'touch /run/here.$(hostname); until [ -e /run/go ]; do sleep 0.1; done; ip -4 -o address show eth0; busybox ping -c 1 -W 30 10.0.0.1' &
done
await '[ $(ls /run/here.* | wc -l) -eq %[1]d ]'; touch /run/go; wait
`, n), "06-bridge")
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`inet (10\.0\.0\.\d+)/24`).FindAllStringSubmatch(got.out, -1) {
		seen[m[1]] = true
	}
	if answers := strings.Count(got.out, " 1 packets received"); len(seen) != n || answers != n {
		t.Errorf("%d different addresses and %d answers for %d boxes", len(seen), answers, n)
	}
}

// A box that is killed has lost its address at once, and who gets it then is not taken for the one before: the bridge
// is open for it, and what is left of the other does not answer in its place: ARP, if lost, would wait for a second.
func TestAddressAgain(t *testing.T) {
	n := times(50)
	got := play(t, fmt.Sprintf(`
busybox httpd -p 80 -h /run/www
for i in $(seq %d); do
	06-bridge a sh -c "ip -4 -o address show eth0 >/run/a$i; sleep 60" & await "grep 10.0.0.2/24 /run/a$i"; kill -9 $!; wait $! || true
	06-bridge b sh -c 'busybox ping -c 1 -W 1 10.0.0.1 >/dev/null && timeout 20 busybox wget -qO- 10.0.0.1' || echo "no answer"
	await '! pidof sleep'
done
`, n), "06-bridge")
	got.is(t, slices.Repeat([]string{"hello, 10.0.0.2"}, n)...)
}

func TestNatProgram(t *testing.T) {
	got := play(t, `
web() { 06-bridge web timeout $1 busybox wget -qO- 192.0.2.2 2>/dev/null || echo "no answer"; }
start() { rm -f /run/out; 07-nat >/run/out & nat=$!; await 'grep ready /run/out'; }
web 1
start; web 20; kill $nat; wait $nat; await '! ip link | grep veth'; state
start; { kill -9 $nat; wait $nat; } 2>/dev/null || true; start; echo "$(nft list ruleset | grep -c masquerade) rules"; cat /proc/sys/net/ipv4/ip_forward
06-bridge db busybox httpd -f -p 80 -h /run/www & await 'get 10.0.0.2 | grep hello'
ip -n lan route add 10.0.0.0/24 via 192.0.2.1; lan 10.0.0.2
`, "06-bridge", "07-nat")
	got.is(t, "no answer", "hello, 192.0.2.1", "bridge0 lan0 lo ", "0",
		"2 rules", "1", "hello, 192.0.2.2") // its faults: the rule is doubled, and a neighbour gets in
}

func TestPublishProgram(t *testing.T) {
	got := play(t, `
start() { rm -f /run/out; 08-publish "$@" >/run/out & publish=$!; await 'grep ready /run/out'; }
box() { 06-bridge db timeout 20 busybox wget -qO- "$@" 2>&1 || echo "no answer"; }
06-bridge web sh -c 'busybox httpd -p 80 -h /run/www; until timeout 2 busybox wget -qO- 192.0.2.1:8080 >/run/own 2>/dev/null; do sleep 0.1; done; sleep 1000' &
await 'get 10.0.0.2 | grep hello'
start -trap 8080 10.0.0.2:80; lan 192.0.2.1:8080; get 192.0.2.1:8080; kill $publish; wait $publish; state
start 8080 10.0.0.2:80; kill -9 $publish; wait $publish || true; start 8080 10.0.0.2:80
lan 192.0.2.1:8080; get 192.0.2.1:8080; get 127.0.0.1:8080; box 192.0.2.1:8080; box 192.0.2.2; await '[ -s /run/own ]'; cat /run/own
ip -n lan route add 10.0.0.0/24 via 192.0.2.1; most=2 lan 10.0.0.2
echo "$(nft list ruleset | grep -c 'dnat to') rules"
busybox httpd -p 127.0.0.1:81 -h /run/www
06-bridge db sh -c 'ip address delete 127.0.0.1/8 dev lo; echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet
	ip route add 127.0.0.0/8 via 10.0.0.1; timeout 20 busybox wget -qO- 127.0.0.1:81'
kill $publish; wait $publish; nft list ruleset; 08-publish 8080 || true; 08-publish 99999 10.0.0.2:80 || true
`, "06-bridge", "08-publish")
	got.is(t, "hello, 192.0.2.2", "wget: can't connect to remote host .*: Connection refused", "no answer", // the trap
		"bridge0 lan0 lo veth2 ", "0",
		"hello, 192.0.2.2", "hello, 192.0.2.1", "hello, 10.0.0.1", "hello, 10.0.0.1", "hello, 192.0.2.1", "hello, 10.0.0.1",
		"no answer", "2 rules",
		"hello, 10.0.0.3", // the fault: from the machine's loopback
		"error: .*", "error: .*")
}

func TestNamesProgram(t *testing.T) {
	got := play(t, `
ask() { STEPS_ROLE="$*" "$SELF"; }
06-bridge Web busybox httpd -f -p 80 -h /run/www & web=$!; await 'get 10.0.0.2 | grep hello'
06-bridge db timeout 30 getent ahosts web | sed 1q; echo "nobody knows"
09-names & await 'ask udp A web'; await 'ask tcp A web'
ask udp A web; ask tcp A wEb; ask udp AAAA web; ask udp A db; ask udp A example.org
ip netns exec lan env STEPS_ROLE=upstream "$SELF" & await 'ask udp A example.org | grep 203'; await 'ask tcp A example.org | grep 203'
ask udp A example.org; ask tcp A example.org; ask udp A nobody.example
06-bridge db sh -c 'busybox wget -qO- http://web; getent hosts example.org'
kill -9 $web; wait $web || true; ask udp A web
06-bridge two sleep 1000 & 06-bridge two sleep 1000 & await 'ask udp A two | grep "10.0.0.2.* 10.0.0.3"'; ask udp A two
`, "06-bridge", "09-names")
	got.is(t, "error: exit status 2", "nobody knows",
		"udp A web: NOERROR web. 1 IN A 10.0.0.2", "tcp A wEb: NOERROR wEb. 1 IN A 10.0.0.2",
		"udp AAAA web: NOERROR", "udp A db: SERVFAIL", "udp A example.org: SERVFAIL", // nobody is there to ask
		"udp A example.org: NOERROR example.org. 60 IN A 203.0.113.7", "tcp A example.org: NOERROR example.org. 60 IN A 203.0.113.7",
		"udp A nobody.example: NXDOMAIN", "hello, 10.0.0.3", "203.0.113.7 +example.org",
		"udp A web: NXDOMAIN", // killed, and so no longer known
		"udp A two: NOERROR two. 1 IN A 10.0.0.2 two. 1 IN A 10.0.0.3") // the fault
}
