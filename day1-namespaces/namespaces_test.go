package main

import (
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

var namespaceTests = []struct {
	flags string
	want  uintptr
}{
	{"", unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUSER | unix.CLONE_NEWCGROUP},
	{"--uts", unix.CLONE_NEWUTS},
	{"--ipc", unix.CLONE_NEWIPC},
	{"--pid", unix.CLONE_NEWPID},
	{"--mount", unix.CLONE_NEWNS},
	{"--net", unix.CLONE_NEWNET},
	{"--user", unix.CLONE_NEWUSER},
	{"--cgroup", unix.CLONE_NEWCGROUP},
	{"--pid --mount", unix.CLONE_NEWPID | unix.CLONE_NEWNS},
	{"--uts --ipc --net --cgroup", unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP},
}

// wanted adds the one that a plain user needs in order to make the others.
func wanted(namespaces uintptr) uintptr {
	if os.Geteuid() != 0 {
		namespaces |= unix.CLONE_NEWUSER
	}
	return namespaces
}

func TestCloneFlags(t *testing.T) {
	for _, test := range namespaceTests {
		_, cmd := build(t, strings.Fields(test.flags)...)
		// The cgroup namespace is made later, in the right cgroup.
		if got, want := cmd.SysProcAttr.Cloneflags, wanted(test.want)&^unix.CLONE_NEWCGROUP; got != want {
			t.Errorf("%q: clone flags %#x, want %#x", test.flags, got, want)
		}
	}
}

func TestInitCommand(t *testing.T) {
	_, cmd := build(t)
	if cmd.Path != "/proc/self/exe" || !isInit(cmd.Args) {
		t.Errorf("init is %s %q", cmd.Path, cmd.Args)
	}
	if cmd.Env == nil || len(cmd.Env) > 0 {
		t.Errorf("init's environment is %q, want an empty one", cmd.Env)
	}
	if cmd.Stdin != nil {
		t.Error("standard input passed on without -i")
	}
	if attr := cmd.SysProcAttr; !attr.Setsid || attr.Setctty || attr.Pdeathsig != syscall.SIGKILL {
		t.Errorf("%+v", attr)
	}
	if _, cmd := build(t, "-i"); cmd.Stdin != os.Stdin {
		t.Error("standard input not passed on with -i")
	}
}

func TestIDMappings(t *testing.T) {
	uid, gid := os.Geteuid(), os.Getegid()
	wantUID := []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
	wantGID := []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	if uid == 0 {
		wantUID, wantGID = identityMap(t, "uid"), identityMap(t, "gid")
	}
	_, cmd := build(t, "--user")
	if got := cmd.SysProcAttr.UidMappings; !reflect.DeepEqual(got, wantUID) {
		t.Errorf("uid map %v, want %v", got, wantUID)
	}
	if got := cmd.SysProcAttr.GidMappings; !reflect.DeepEqual(got, wantGID) {
		t.Errorf("gid map %v, want %v", got, wantGID)
	}
	if uid == 0 {
		if _, cmd := build(t, "--uts"); cmd.SysProcAttr.UidMappings != nil {
			t.Error("ids are mapped without a user namespace")
		}
	}
}

// identityMap maps each id that we have to itself.
func identityMap(t *testing.T, kind string) (all []syscall.SysProcIDMap) {
	text, err := os.ReadFile("/proc/self/" + kind + "_map")
	if err != nil {
		t.Fatal(err)
	}
	var inside, outside, size int
	for line := range strings.Lines(string(text)) {
		fmt.Sscan(line, &inside, &outside, &size)
		all = append(all, syscall.SysProcIDMap{ContainerID: inside, HostID: inside, Size: size})
	}
	return all
}

func TestNamespacesAreNewExactlyAsAsked(t *testing.T) {
	for _, init := range []string{"--init=true", "--init=false"} {
		for _, test := range namespaceTests {
			t.Run(init+" "+test.flags, func(t *testing.T) {
				args := append(strings.Fields(test.flags), init, "sh", "-c", "echo ready; exec sleep 1000")
				c := launch(t, container(t, args...))
				c.says("ready")
				pid := c.command()
				for _, ns := range namespaces {
					ours, theirs := namespaceOf(t, os.Getpid(), ns), namespaceOf(t, pid, ns)
					if isNew, want := ours != theirs, wanted(test.want)&ns.flag != 0; isNew != want {
						t.Errorf("new %s namespace: %v, want %v", ns.name, isNew, want)
					}
				}
			})
		}
	}
}

func namespaceOf(t *testing.T, pid int, ns namespace) string {
	t.Helper()
	inode, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns.file))
	if err != nil {
		t.Fatal(err)
	}
	return inode
}

// build is the run command up to the child it would start.
func build(t *testing.T, flags ...string) (*Container, *exec.Cmd) {
	t.Helper()
	c, err := parse(append(flags, "true")...)
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := initCommand(c)
	if err != nil {
		t.Fatal(err)
	}
	return c, cmd
}
