// Step 6. New: boxes with names on one bridge, each with an address that no other has, also when 50 start at once.
// Run: go build -o box ./day5-networks/steps/06-bridge && sh day5-networks/steps/world.sh ./box web sh; then ip address
// Still wrong: the boxes reach only each other (step 7), their names mean nothing to anybody (9), and the bridge stays.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

func init() { runtime.LockOSThread() } // Pdeathsig is about threads: the one that forks, and in the box that executes

func main() {
	if len(os.Args) < 3 {
		check(fmt.Errorf("usage: %s NAME COMMAND [ARG...]", os.Args[0]))
	}
	if os.Args[0] == "inside" {
		inside(os.Args[1], os.Args[2:])
	}
	list, err := os.OpenFile("/run/boxes", os.O_RDWR|os.O_CREATE, 0o644)
	check(err)
	defer list.Close()
	ip := take(list, os.Args[1])
	news, tell, err := os.Pipe()
	check(err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{"inside"}, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{news} // its descriptor 3
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL, // or a box without a parent would use an address that is free
	}
	check(cmd.Start())
	connect(cmd.Process.Pid, ip) // only now is there a namespace to lay a cable to
	fmt.Fprint(tell, "!")
	check(cmd.Wait())
}

// take finds a free address. At 64*i of the list is the name of the box with 10.0.0.i, locked until its holder ends.
func take(list *os.File, name string) net.IP {
	for i := byte(2); i < 255; i++ { // .0 is the network, .1 the bridge, .255 everybody
		part := unix.Flock_t{Type: unix.F_WRLCK, Start: 64 * int64(i), Len: 64}
		if err := unix.FcntlFlock(list.Fd(), unix.F_OFD_SETLK, &part); err != unix.EAGAIN { // fcntl_locking(2)
			check(err)
			_, err = list.WriteAt(fmt.Appendf(nil, "%-64.64s", name), part.Start)
			check(err)
			return net.IP{10, 0, 0, i}
		}
	}
	check(fmt.Errorf("all addresses of 10.0.0.0/24 are taken"))
	return nil
}

// connect lays a cable from the bridge to eth0 in the network namespace of the process.
func connect(pid int, ip net.IP) {
	attrs := netlink.LinkAttrs{Name: "bridge0", HardwareAddr: net.HardwareAddr{2, 0, 10, 0, 0, 1}}
	netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}) // fails if there is one; if there is none, the next line fails
	master := up(new(netlink.Handle), "bridge0", "10.0.0.1/24").Attrs().Index
	veth := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprint("veth", ip[3]), MasterIndex: master, Flags: net.FlagUp},
		PeerName:  "eth0", PeerNamespace: netlink.NsPid(pid), // made there: here might be another eth0
		PeerHardwareAddr: append(net.HardwareAddr{2, 0}, ip...), // always this one: others remember it for a while. arp(7)
	}
	netlink.LinkDel(veth) // of the box before: the kernel removes it a moment after the end, and until then it answers
	check(netlink.LinkAdd(veth))
	check(netlink.LinkSetHairpin(veth, true)) // for a box that asks for its own published port: step 8
	space, err := netns.GetFromPid(pid)
	check(err)
	box, err := netlink.NewHandleAt(space, syscall.NETLINK_ROUTE) // a socket made in there talks to the kernel about what is there. netlink(7)
	check(err)
	up(box, "lo", "127.0.0.1/8")
	up(box, "eth0", ip.String()+"/24")
	check(box.RouteAdd(&netlink.Route{Gw: net.IPv4(10, 0, 0, 1)})) // no destination: the default
	for _, name := range []string{veth.Name, "bridge0"} {
		for link := netlink.Link(veth); link.Attrs().OperState != netlink.OperUp; { // else ARP is lost, and waits 1 s
			link, err = netlink.LinkByName(name)
			check(err)
		}
	}
}

func inside(name string, command []string) {
	syscall.CloseOnExec(3)
	_, err := os.NewFile(3, "news").Read(make([]byte, 1))
	check(err) // the end of the file: the parent has died, and there is no cable
	check(syscall.Sethostname([]byte(name)))
	check(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	check(syscall.Mount("proc", "/proc", "proc", 0, ""))
	check(os.WriteFile("/run/boxes.conf", []byte("nameserver 10.0.0.1\n"), 0o644)) // who answers there? Step 9
	check(syscall.Mount("/run/boxes.conf", "/etc/resolv.conf", "", syscall.MS_BIND, ""))
	path, err := exec.LookPath(command[0])
	check(err)
	check(syscall.Exec(path, command, os.Environ()))
}

func up(at *netlink.Handle, name, address string) netlink.Link {
	link, err := at.LinkByName(name)
	check(err)
	a, err := netlink.ParseAddr(address)
	check(err)
	check(at.AddrReplace(link, a))
	check(at.LinkSetUp(link))
	return link
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
