// Step 5, from day 1's step 9. New: a box with a network. It waits at a pipe until the parent has laid the cable.
// Run: go build -o veth ./day5-networks/steps/05-veth && sh day5-networks/steps/world.sh ./veth sh; then ip address
// Still wrong: what a box says at once is lost, for a second; a second box has the same address, and hears nothing.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

func main() {
	if len(os.Args) < 2 {
		check(fmt.Errorf("usage: %s COMMAND [ARG...]", os.Args[0]))
	}
	if os.Args[0] == "inside" {
		inside(os.Args[1:])
	}
	news, tell, err := os.Pipe()
	check(err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{"inside"}, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{news} // its descriptor 3
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
	}
	check(cmd.Start())
	connect(cmd.Process.Pid) // only now is there a namespace to lay a cable to
	fmt.Fprint(tell, "!")
	check(cmd.Wait())
}

// connect lays a cable: one end is here, the other is eth0 in the network namespace of the process. The kernel
// removes both when one of the namespaces has gone. veth(4)
func connect(pid int) {
	name := fmt.Sprint("veth", pid) // 15 bytes at most
	check(netlink.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: name},
		PeerName:      "eth0", // made there: here might be another eth0
		PeerNamespace: netlink.NsPid(pid),
	}))
	here := new(netlink.Handle)
	up(here, name, "10.0.0.1/24")
	space, err := netns.GetFromPid(pid)
	check(err)
	box, err := netlink.NewHandleAt(space, syscall.NETLINK_ROUTE) // a socket made in there talks to the kernel about what is there. netlink(7)
	check(err)
	up(box, "lo", "127.0.0.1/8")
	up(box, "eth0", "10.0.0.2/24")
	check(box.RouteAdd(&netlink.Route{Gw: net.IPv4(10, 0, 0, 1)})) // no destination: the default
}

func inside(command []string) {
	syscall.CloseOnExec(3)
	_, err := os.NewFile(3, "news").Read(make([]byte, 1))
	check(err) // the end of the file: the parent has died, and there is no cable
	check(syscall.Sethostname([]byte("box")))
	check(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	check(syscall.Mount("proc", "/proc", "proc", 0, ""))
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
