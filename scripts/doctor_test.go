package scripts

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/go-docker/scripts/internal/box"
	"golang.org/x/sys/unix"
)

// A machine is a picture of one: files as doctor.sh reads them, and what
// commands answer. An empty value takes a file of the machine below it away.
type machine map[string]string

const (
	rootMount = "21 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
	v2Mount   = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
	v1Mounts  = `31 23 0:27 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755
32 31 0:28 / /sys/fs/cgroup/systemd rw,nosuid shared:10 - cgroup cgroup rw,xattr,name=systemd
33 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:11 - cgroup cgroup rw,cpu,cpuacct
34 31 0:30 / /sys/fs/cgroup/memory rw,nosuid shared:12 - cgroup cgroup rw,memory
35 31 0:31 / /sys/fs/cgroup/cpuset rw,nosuid shared:13 - cgroup cgroup rw,cpuset
36 31 0:32 / /sys/fs/cgroup/pids rw,nosuid shared:14 - cgroup cgroup rw,pids
`
	emptyV2 = "37 31 0:33 / /sys/fs/cgroup/unified rw,nosuid shared:15 - cgroup2 cgroup2 rw,nsdelegate\n"
	empty   = "\x00" // a file with nothing in it
)

// ubuntu is a new Ubuntu server in a virtual machine, with sudo.
var ubuntu = machine{
	"etc/os-release":                             "PRETTY_NAME=\"Ubuntu 26.04 LTS\"\nID=ubuntu\nID_LIKE=debian\n",
	"proc/sys/kernel/osrelease":                  "6.14.0-15-generic\n",
	"proc/cpuinfo":                               "flags\t\t: fpu vme hypervisor lahf_lm\n",
	"proc/cmdline":                               "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro quiet\n",
	"proc/filesystems":                           "nodev\tcgroup\nnodev\tcgroup2\n\text4\nnodev\toverlay\n",
	"proc/meminfo":                               "MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\nSwapTotal: 0 kB\n",
	"proc/self/status":                           "Name:\tcat\nUid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n",
	"proc/self/uid_map":                          "         0          0 4294967295\n",
	"proc/self/mountinfo":                        rootMount + v2Mount,
	"proc/cgroups":                               "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t80\t1\nmemory\t0\t80\t1\n",
	"proc/sys/user/max_user_namespaces":          "15000\n",
	"sys/fs/cgroup/cgroup.controllers":           "cpuset cpu io memory hugetlb pids rdma misc\n",
	"sys/fs/cgroup/cgroup.subtree_control":       "cpuset cpu io memory pids\n",
	"sys/fs/cgroup/system.slice/memory.swap.max": "max\n",
	"ns": "uts ipc pid mnt net user cgroup", "pidns": "4026531836",
	"uname -s": "Linux", "uname -m": "x86_64", "go version": "go version go1.26.8 linux/amd64",
	"go list -deps": "", "tools": "unshare ip flock nft stress runc crun",
}

func (m machine) with(changes machine) machine {
	m = maps.Clone(m)
	maps.Copy(m, changes)
	return m
}

func (m machine) fakesCommands() bool {
	return m["uname -s"] != "Linux" || m["uname -m"] != "x86_64" || m["tools"] != ubuntu["tools"]
}

var (
	v1 = machine{
		"proc/self/mountinfo":              rootMount + v1Mounts,
		"sys/fs/cgroup/cgroup.controllers": "", "sys/fs/cgroup/cgroup.subtree_control": "", "sys/fs/cgroup/system.slice/memory.swap.max": "",
		"sys/fs/cgroup/memory/memory.memsw.limit_in_bytes": "9223372036854771712\n",
		"sys/fs/cgroup/cpu,cpuacct/cgroup.procs":           "1\n",
		"sys/fs/cgroup/cpuset/cgroup.procs":                "1\n",
		"sys/fs/cgroup/pids/cgroup.procs":                  "1\n",
	}
	debian = machine{
		"etc/os-release":            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n",
		"proc/sys/kernel/osrelease": "6.1.0-40-amd64\n",
	}
	plainUser = machine{"proc/self/status": "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\n"}
	// The pictures belong to whoever runs the tests, so to this plain user.
	delegation = machine{
		"proc/self/cgroup": "0::/user.slice/app.slice/run-1.scope\n",
		"sys/fs/cgroup/user.slice/app.slice/run-1.scope/cgroup.procs":           "1234\n",
		"sys/fs/cgroup/user.slice/app.slice/run-1.scope/cgroup.controllers":     "cpuset cpu memory pids\n",
		"sys/fs/cgroup/user.slice/app.slice/run-1.scope/cgroup.subtree_control": empty,
		"sys/fs/cgroup/user.slice/app.slice/cgroup.procs":                       empty,
		"sys/fs/cgroup/user.slice/app.slice/cgroup.controllers":                 "cpuset cpu memory pids\n",
		"sys/fs/cgroup/user.slice/app.slice/cgroup.subtree_control":             empty,
	}
	swap = machine{"proc/meminfo": "MemAvailable: 3000000 kB\nSwapTotal: 2097148 kB\n"}
)

func TestDoctorOnPicturesOfMachines(t *testing.T) {
	if os.Getenv("GO_DOCKER_VM") != "" {
		t.Skip("reads pictures of machines, and is as good outside of this one")
	}
	all := shells(t)
	for _, test := range []struct {
		name    string
		machine machine
		stopped [3]string // the checks that stop day 1, 2 and 3; and so 4 and 5
		want    []string  // "CHECK STATUS" and a part of what it says or advises
	}{
		{"v2 Ubuntu", ubuntu, [3]string{}, []string{
			"system ok Ubuntu 26.04 LTS, x86_64", "kernel ok 6.14.0-15-generic", "machine ok a virtual machine", "user ok root",
			"namespaces ok uts ipc pid mnt net user cgroup", "userns ok", "cgroup ok v2 on /sys/fs/cgroup", "controllers ok memory cpu cpuset pids",
			"cgroupfs ok writable", "swap ok none", "overlay ok in the kernel", "pivot_root ok", "go ok 1.26.8", "tools ok"}},
		{"v1 Debian", ubuntu.with(debian).with(v1), [3]string{}, []string{"cgroup ok v1", "controllers ok memory cpu cpuset pids", "cgroupfs ok"}},
		{"hybrid", ubuntu.with(debian).with(v1).with(machine{"proc/self/mountinfo": rootMount + v1Mounts + emptyV2, "sys/fs/cgroup/unified/cgroup.controllers": empty}),
			[3]string{}, []string{"cgroup ok hybrid (v1 for memory cpu cpuset pids; v2 on /sys/fs/cgroup/unified"}},
		{"v1 that lacks cpuset", ubuntu.with(v1).with(machine{
			"proc/self/mountinfo": rootMount + strings.ReplaceAll(v1Mounts, "rw,cpuset", "rw,devices"),
			"proc/cgroups":        "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t0\t1\t1\n"}),
			[3]string{}, []string{"controllers warn memory cpu pids, but not cpuset (not mounted)", "controllers warn sudo mount -t cgroup -o cpuset cpuset /sys/fs/cgroup/cpuset"}},
		{"v2, controllers not enabled yet", ubuntu.with(machine{"sys/fs/cgroup/cgroup.subtree_control": "memory pids\n"}),
			[3]string{}, []string{"controllers ok to be enabled on first use: cpu cpuset"}},
		{"v2, a container's cgroup namespace", ubuntu.with(machine{"sys/fs/cgroup/cgroup.subtree_control": empty, "sys/fs/cgroup/cgroup.type": "domain\n", "sys/fs/cgroup/cgroup.procs": "1\n17\n"}),
			[3]string{"", "controllers", "controllers"}, []string{"controllers FAIL cannot be enabled: memory cpu cpuset pids", "controllers FAIL mkdir /sys/fs/cgroup/init"}},
		{"no cgroups", ubuntu.with(machine{"proc/self/mountinfo": rootMount}),
			[3]string{"", "cgroup", "cgroup"}, []string{"cgroup FAIL no cgroup hierarchy is mounted", "cgroup FAIL sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup"}},
		{"a kernel without cgroups", ubuntu.with(machine{"proc/self/mountinfo": rootMount, "proc/filesystems": "nodev\toverlay\n"}),
			[3]string{"", "cgroup", "cgroup"}, []string{"cgroup FAIL this one was built without"}},
		{"cgroupfs read-only", ubuntu.with(machine{"proc/self/mountinfo": rootMount + strings.Replace(v2Mount, "rw,nosuid", "ro,nosuid", 1)}),
			[3]string{"", "cgroupfs", "cgroupfs"}, []string{"cgroupfs FAIL read-only: /sys/fs/cgroup", "cgroupfs FAIL remount,rw"}},
		{"Raspberry Pi", ubuntu.with(debian).with(machine{
			"proc/cmdline": "coherent_pool=1M cgroup_disable=memory console=tty1\n", "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\x00", "uname -m": "aarch64",
			"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io pids\n"}),
			[3]string{"", "controllers", "controllers"}, []string{"system ok aarch64", "controllers FAIL not available: memory (cgroup_disable=memory", "controllers FAIL cgroup_enable=memory to the one line of /boot/firmware/cmdline.txt"}},
		{"Raspberry Pi, mended", ubuntu.with(machine{"proc/cmdline": "cgroup_disable=memory console=tty1 cgroup_enable=memory\n"}), [3]string{}, []string{"controllers ok"}},
		{"memory off in GRUB, Fedora", ubuntu.with(machine{"etc/os-release": "PRETTY_NAME=\"Fedora Linux 44\"\nID=fedora\n",
			"proc/cmdline": "root=/dev/vda ro cgroup_disable=memory\n", "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io pids\n"}),
			[3]string{"", "controllers", "controllers"}, []string{"controllers FAIL grubby"}},
		{"WSL 2", ubuntu.with(machine{"proc/sys/kernel/osrelease": "5.15.167.4-microsoft-standard-WSL2\n", "pidns": "4026532210"}),
			[3]string{}, []string{"machine ok WSL 2", "kernel warn memory.peak (5.19)"}},
		{"WSL 1", ubuntu.with(machine{"proc/sys/kernel/osrelease": "4.4.0-19041-Microsoft\n", "proc/self/mountinfo": "2 2 0:2 / / rw - wslfs rootfs rw\n", "ns": "pid user mnt net"}),
			[3]string{"kernel, machine, namespaces", "kernel, machine, namespaces, cgroup", "kernel, machine, namespaces, cgroup, pivot_root"},
			[]string{"machine FAIL wsl --set-version"}},
		{"Docker container", ubuntu.with(machine{".dockerenv": empty, "pidns": "4026532999", "proc/self/status": "Uid:\t0\t0\t0\t0\nCapEff:\t00000000a80425fb\n",
			"proc/self/mountinfo": "600 500 0:50 / / rw,relatime - overlay overlay rw\n601 600 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n"}),
			[3]string{"user", "user, cgroupfs", "user, cgroupfs"}, []string{"machine warn a container (Docker)", "user FAIL root without CAP_SYS_ADMIN", "cgroupfs FAIL read-only"}},
		{"a disk image made from a container's files", ubuntu.with(machine{".dockerenv": empty}), [3]string{}, []string{"machine ok a virtual machine"}},
		{"rootless Podman container", ubuntu.with(machine{"run/.containerenv": empty, "pidns": "4026532999", "proc/self/uid_map": "0 1000 1\n1 100000 65536\n"}),
			[3]string{"", "user", "user"}, []string{"machine warn Podman", "user FAIL root of a user namespace only"}},
		{"plain user", ubuntu.with(plainUser), [3]string{"", "user", "user"}, []string{"user FAIL not root (uid 1000)", "user FAIL sudo env \"PATH=$PATH\" sh", "userns ok"}},
		{"plain user with a delegated cgroup", ubuntu.with(plainUser).with(delegation), [3]string{"", "", "user"}, []string{"user FAIL /sys/fs/cgroup/user.slice/app.slice is yours"}},
		{"the same, without cpuset", ubuntu.with(plainUser).with(delegation).with(machine{"sys/fs/cgroup/user.slice/app.slice/cgroup.controllers": "cpu memory pids\n"}),
			[3]string{"", "user", "user"}, []string{"user FAIL only day 1"}},
		{"the same, with a process in it", ubuntu.with(plainUser).with(delegation).with(machine{"sys/fs/cgroup/user.slice/app.slice/cgroup.procs": "17\n"}),
			[3]string{"", "user", "user"}, []string{"user FAIL only day 1"}},
		{"Ubuntu 24.04 with AppArmor's restriction, plain user", ubuntu.with(plainUser).with(machine{"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}),
			[3]string{"userns", "user", "user"}, []string{"userns FAIL AppArmor", "userns FAIL sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"}},
		{"Ubuntu 24.04 with AppArmor's restriction, root", ubuntu.with(machine{"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}),
			[3]string{}, []string{"userns warn root may use them"}},
		{"AppArmor without the restriction", ubuntu.with(plainUser).with(machine{"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "0\n"}),
			[3]string{"", "user", "user"}, []string{"userns ok"}},
		{"unprivileged_userns_clone off", ubuntu.with(plainUser).with(machine{"proc/sys/kernel/unprivileged_userns_clone": "0\n"}),
			[3]string{"userns", "user", "user"}, []string{"userns FAIL unprivileged_userns_clone=1"}},
		{"user namespaces off", ubuntu.with(machine{"proc/sys/user/max_user_namespaces": "0\n"}),
			[3]string{"userns", "userns", "userns"}, []string{"userns FAIL sudo sysctl -w user.max_user_namespaces=15000"}},
		{"no user namespaces compiled in", ubuntu.with(machine{"ns": "uts ipc pid mnt net cgroup"}), [3]string{"namespaces", "namespaces", "namespaces"}, []string{"namespaces FAIL lacks: user"}},
		{"swap, accounted", ubuntu.with(swap), [3]string{}, []string{"swap ok 2047 MiB, accounted"}},
		{"swap, v1, accounted", ubuntu.with(v1).with(swap), [3]string{}, []string{"swap ok accounted"}},
		{"swap, v1, not accounted", ubuntu.with(v1).with(swap).with(machine{"sys/fs/cgroup/memory/memory.memsw.limit_in_bytes": "", "sys/fs/cgroup/memory/cgroup.procs": "1\n"}),
			[3]string{}, []string{"swap warn not accounted", "swap warn swapoff -a"}},
		{"kernel 5.10", ubuntu.with(machine{"proc/sys/kernel/osrelease": "5.10.0-35-amd64\n"}), [3]string{"", "", "kernel"},
			[]string{"kernel FAIL mount_setattr", "kernel FAIL overlay for plain users (5.11), cgroup.kill (5.14), memory.peak (5.19)"}},
		{"kernel 5.15", ubuntu.with(machine{"proc/sys/kernel/osrelease": "5.15.0-35-generic\n"}), [3]string{},
			[]string{"kernel warn goes without memory.peak (5.19)"}},
		{"kernel 5.4", ubuntu.with(machine{"proc/sys/kernel/osrelease": "5.4.0-200-generic\n"}), [3]string{"", "", "kernel"}, []string{"kernel FAIL openat2", "kernel FAIL (5.7)"}},
		{"kernel 3.10", ubuntu.with(machine{"proc/sys/kernel/osrelease": "3.10.0-1160.el7.x86_64\n"}), [3]string{"kernel", "kernel", "kernel"}, []string{"kernel FAIL before 4.6"}},
		{"kernel 7.0-rc1", ubuntu.with(machine{"proc/sys/kernel/osrelease": "7.0-rc1\n"}), [3]string{}, []string{"kernel ok 7.0-rc1"}},
		{"no /proc", ubuntu.with(machine{"proc/sys/kernel/osrelease": ""}), [3]string{"kernel", "kernel", "kernel"}, []string{"kernel FAIL mount -t proc"}},
		{"initramfs", ubuntu.with(machine{"proc/self/mountinfo": "1 1 0:2 / / rw - rootfs rootfs rw\n" + v2Mount}), [3]string{"", "", "pivot_root"}, []string{"pivot_root FAIL rootfs of an initramfs"}},
		{"chroot", ubuntu.with(machine{"proc/self/mountinfo": v2Mount}), [3]string{"", "", "pivot_root"}, []string{"pivot_root FAIL not a mount point"}},
		{"no overlay", ubuntu.with(machine{"proc/filesystems": "nodev\tcgroup2\n\text4\n"}), [3]string{"", "", "overlay"}, []string{"overlay FAIL modprobe overlay"}},
		{"Go too old", ubuntu.with(machine{"go version": "go version go1.22.2 linux/amd64"}), [3]string{"go", "go", "go"}, []string{"go FAIL 1.22.2", "go FAIL https://go.dev/dl/"}},
		{"Go 1.9", ubuntu.with(machine{"go version": "go version go1.9 linux/amd64"}), [3]string{"go", "go", "go"}, []string{"go FAIL older than 1.25"}},
		{"Go just new enough", ubuntu.with(machine{"go version": "go version go1.25rc1 linux/amd64"}), [3]string{}, []string{"go ok 1.25rc1"}},
		{"Go from its repository", ubuntu.with(machine{"go version": "go version devel go1.28-abcdef linux/amd64"}), [3]string{}, []string{"go warn development version"}},
		{"Go broken", ubuntu.with(machine{"go version": "Segmentation fault"}), [3]string{"go", "go", "go"}, []string{"go FAIL does not work: Segmentation fault"}},
		{"Go absent", ubuntu.with(machine{"go version": ""}), [3]string{"go", "go", "go"}, []string{"go FAIL not installed"}},
		{"Go dropped by sudo", ubuntu.with(machine{"go version": "", "usr/local/go/bin/go": empty}), [3]string{"go", "go", "go"},
			[]string{"go FAIL in /usr/local/go/bin, which is not in PATH", "go FAIL sudo env \"PATH=$PATH:/usr/local/go/bin\""}},
		{"no tools", ubuntu.with(machine{"tools": "crun"}), [3]string{}, []string{"tools warn unshare ip flock nft", "tools warn sudo apt install util-linux iproute2 nftables"}},
		{"odd architecture", ubuntu.with(machine{"uname -m": "riscv64"}), [3]string{}, []string{"system warn riscv64"}},
		{"little memory", ubuntu.with(machine{"proc/meminfo": "MemAvailable: 200000 kB\n"}), [3]string{"room", "room", "room"}, []string{"room FAIL memory 195 MiB"}},
		{"tight memory", ubuntu.with(machine{"proc/meminfo": "MemAvailable: 400000 kB\n"}), [3]string{}, []string{"room warn tight"}},
		{"a Mac", machine{"uname -s": "Darwin", "uname -m": "arm64"}, [3]string{"system", "system", "system"}, []string{"system FAIL Darwin", "system FAIL VM"}},
	} {
		for name, s := range all {
			if name == "busybox" && test.machine.fakesCommands() {
				continue // its shell may take its own applets before what is in PATH
			}
			t.Run(test.name+"/"+name, func(t *testing.T) {
				got, status := paint(t, s, test.machine).json(t)
				if wanted := test.stopped == [3]string{}; (status == 0) != wanted || got.Ready != wanted {
					t.Errorf("status %d, ready %v", status, got.Ready)
				}
				for i, day := range got.Days {
					if stopped := strings.Join(day.StoppedBy, ", "); stopped != test.stopped[min(i, 2)] || day.Ready != (stopped == "") {
						t.Errorf("day %d: stopped by %q, want %q", day.Day, stopped, test.stopped[min(i, 2)])
					}
				}
				for _, want := range test.want {
					got.expect(t, want)
				}
				got.sane(t)
			})
		}
	}
}

// Whatever the module cache lacks, a proxy may have; and a chapter that lacks
// nothing is not stopped.
func TestDoctorModules(t *testing.T) {
	days, err := filepath.Glob("../day[0-9]-*/go.mod")
	if err != nil || len(days) == 0 {
		t.Fatalf("no chapters beside the scripts: %v", err)
	}
	missing := `day1-namespaces) echo 'main.go:1: cannot find module providing package x: module lookup disabled by GOPROXY=off' >&2; exit 1`
	for _, s := range shells(t) {
		for _, test := range []struct{ list, proxy, want, stopped string }{
			{"", "exit 0", "modules ok", ""},
			{missing, "exit 0", "modules warn not all here for day 1, but a module proxy answers", ""},
			{missing, "exit 1", "modules FAIL missing for day 1, no module proxy answers: main.go:1: cannot find module", "modules"},
		} {
			m := ubuntu.with(machine{"go list -deps": test.list, "go list -m": test.proxy})
			got, _ := paint(t, s, m).json(t)
			got.expect(t, test.want)
			if stopped := strings.Join(got.Days[0].StoppedBy, ", "); stopped != test.stopped {
				t.Errorf("day 1 stopped by %q, want %q", stopped, test.stopped)
			}
			for _, day := range got.Days[1:] {
				if len(day.StoppedBy) > 0 {
					t.Errorf("%s: stops other days: %+v", test.want, got.Days)
				}
			}
		}
	}
}

// One screen, one line a check, no colours off a terminal, the table last.
func TestDoctorText(t *testing.T) {
	for name, s := range shells(t) {
		out, err := paint(t, s, ubuntu.with(plainUser))().CombinedOutput()
		if err == nil {
			t.Errorf("%s: exit status 0 for a plain user", name)
		}
		lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		if len(lines) > 26 {
			t.Errorf("%s: %d lines", name, len(lines))
		}
		if strings.ContainsRune(string(out), '\033') {
			t.Errorf("%s: colours in a pipe", name)
		}
		line := regexp.MustCompile(`^((ok  |warn|FAIL)  [a-z_]+ *  \S.*|      -> \S.*|day [1-5]  [a-z]+ *   (ready|stopped by: [a-z_, ]+)|)$`)
		for _, l := range lines {
			if !line.MatchString(l) {
				t.Errorf("%s: odd line %q", name, l)
			}
		}
		if want := []string{"day 1  namespaces   ready", "day 2  cgroups      stopped by: user", "day 3  images       stopped by: user", "day 4  lifecycle    stopped by: user", "day 5  networks     stopped by: user"}; !slices.Equal(lines[max(0, len(lines)-len(want)):], want) {
			t.Errorf("%s: the table is\n%s", name, out)
		}
	}
}

func TestDoctorColours(t *testing.T) {
	for name, s := range shells(t) {
		for _, test := range []struct {
			env  string
			want bool
		}{{"TERM=xterm", true}, {"TERM=dumb", false}, {"NO_COLOR=1", false}} {
			cmd := paint(t, s, ubuntu)()
			cmd.Env = append(cmd.Env, "TERM=xterm", test.env)
			if got := strings.Contains(onTerminal(t, cmd), "\033[32mok  \033[0m"); got != test.want {
				t.Errorf("%s: %s: colours %v", name, test.env, got)
			}
		}
	}
}

func TestDoctorBadOption(t *testing.T) {
	for name, s := range shells(t) {
		cmd := s.command("./doctor.sh", "--nonsense")
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 2 || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s: %v: %s", name, cmd.ProcessState, out)
		}
	}
}

// The machine that runs the tests must be fit to, or they prove nothing. And
// doctor.sh leaves it as it was.
func TestDoctorHere(t *testing.T) {
	box.NeedRoot(t)
	for name, s := range shells(t) {
		t.Run(name, func(t *testing.T) {
			cmd, dirs := here(t, s)
			mounts, err := os.ReadFile("/proc/self/mountinfo")
			must(t, err)
			got, status := picture(func(args ...string) *exec.Cmd {
				cmd.Args = append(cmd.Args, args...)
				return cmd
			}).json(t)
			for _, c := range got.Checks {
				t.Logf("%s %s: %s; %s", c.Name, c.Status, c.Detail, c.Fix)
			}
			if status != 0 || !got.Ready {
				t.Errorf("status %d, ready %v", status, got.Ready)
			}
			got.expect(t, "overlay ok mounted and written to, below "+dirs[1])
			got.expect(t, "pivot_root ok tried, works")
			got.sane(t)
			for _, dir := range dirs {
				leavesNothing(t, dir)
			}
			after, err := os.ReadFile("/proc/self/mountinfo")
			must(t, err)
			if string(after) != string(mounts) {
				t.Logf("before:\n%s\nafter:\n%s", mounts, after)
				if strings.Contains(string(after), "go-docker-doctor") {
					t.Error("a mount is left")
				}
			}
		})
	}
}

// What is tried must also be seen to fail: overlay, which does not take another
// overlay as its upper layer, or a full or read-only disk; and pivot_root, which
// says EINVAL where the root is no mount point.
func TestDoctorHereWithout(t *testing.T) {
	box.NeedRoot(t)
	for name, s := range shells(t) {
		for _, test := range []struct{ setup, want string }{
			{`mkdir "$D/l" "$D/u" "$D/w" "$D/o" && mount -t overlay o -o lowerdir="$D/l",upperdir="$D/u",workdir="$D/w" "$D/o" &&
				export GO_DOCKER_ROOT="$D/o/store"`, "overlay FAIL set GO_DOCKER_ROOT"},
			{`mount -t tmpfs -o ro ro "$D"`, "overlay FAIL cannot write to"},
			{`cd "$D" && for d in /bin /sbin /lib* /usr /etc /sys /dev /proc; do
					if [ -h $d ]; then cp -P $d .; else mkdir .$d && mount --rbind $d .$d; fi
				done && for d in $(echo "$PATH" | tr : ' '); do [ ! -d $d ] || [ -d .$d ] || { mkdir -p .$d && mount --bind $d .$d; }; done &&
				mkdir -p tmp var/lib repo/scripts && cp "$DOCTOR" repo/scripts && cd repo/scripts && export TMPDIR=/tmp GO_DOCKER_ROOT=/var/lib/x &&
				set -- chroot "$D" sh -c 'cd /repo/scripts && exec "$@"' sh "$@"`, "pivot_root FAIL Invalid argument"},
		} {
			t.Run(name+"/"+test.want, func(t *testing.T) {
				doctor, err := filepath.Abs("doctor.sh")
				must(t, err)
				cmd, dirs := here(t, s)
				cmd.Env = append(cmd.Env, "D="+dirs[1], "DOCTOR="+doctor)
				got, status := picture(func(args ...string) *exec.Cmd {
					args = append([]string{"-m", "sh", "-c", test.setup + ` && exec "$@"`, "sh"}, append(cmd.Args, args...)...)
					inside := exec.Command("unshare", args...)
					inside.Env = cmd.Env
					return inside
				}).json(t)
				got.expect(t, test.want)
				if status != 1 || len(got.Days[2].StoppedBy) == 0 {
					t.Errorf("status %d, day 3 stopped by %q", status, got.Days[2].StoppedBy)
				}
			})
		}
	}
}

// ^C while the go command hangs: over at once, nothing left.
func TestDoctorInterrupted(t *testing.T) {
	for name, s := range shells(t) {
		t.Run(name, func(t *testing.T) {
			bin := t.TempDir()
			must(t, os.WriteFile(bin+"/go", []byte("#!/bin/sh\n: >"+bin+"/started\nexec sleep 60\n"), 0o755))
			cmd, dirs := here(t, s)
			cmd.Env = append(cmd.Env, "PATH="+bin+":"+s.path)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			must(t, cmd.Start())
			waitFor(t, func() bool { _, err := os.Stat(bin + "/started"); return err == nil })
			began := time.Now()
			must(t, unix.Kill(-cmd.Process.Pid, unix.SIGINT)) // as a terminal does: to the whole group
			_ = cmd.Wait()
			if status := cmd.ProcessState.ExitCode(); status != 130 || time.Since(began) > 30*time.Second {
				t.Errorf("status %d after %v", status, time.Since(began))
			}
			for _, dir := range dirs {
				leavesNothing(t, dir)
			}
		})
	}
}

// --- helpers

type report struct {
	Ready bool
	Days  []struct {
		Day       int
		Ready     bool
		StoppedBy []string `json:"stopped_by"`
	}
	Checks []struct{ Name, Status, Detail, Fix string }
}

// expect wants "CHECK STATUS TEXT", the text in the detail or in the advice.
func (r report) expect(t *testing.T, want string) {
	t.Helper()
	f := strings.SplitN(want, " ", 3)
	text := ""
	if len(f) == 3 {
		text = f[2]
	}
	for _, c := range r.Checks {
		if c.Name == f[0] {
			if c.Status != f[1] || !strings.Contains(c.Detail, text) && !strings.Contains(c.Fix, text) {
				t.Errorf("want %q, got %s %s: %s; %s", want, c.Name, c.Status, c.Detail, c.Fix)
			}
			return
		}
	}
	t.Errorf("no check %q in %+v", f[0], r.Checks)
}

// sane: every check once, and a way out for each failure.
func (r report) sane(t *testing.T) {
	t.Helper()
	seen := map[string]bool{}
	for _, c := range r.Checks {
		if seen[c.Name] {
			t.Errorf("%s: reported twice", c.Name)
		}
		seen[c.Name] = true
		if !slices.Contains([]string{"ok", "warn", "FAIL"}, c.Status) || c.Status == "FAIL" && c.Fix == "" || strings.HasSuffix(c.Detail, " ") {
			t.Errorf("odd report: %+v", c)
		}
	}
	if len(r.Days) != 5 || !seen["system"] {
		t.Errorf("incomplete: %+v", r)
	}
}

// A picture makes the command that runs doctor.sh in it.
type picture func(args ...string) *exec.Cmd

func (p picture) json(t *testing.T) (r report, status int) {
	t.Helper()
	cmd := p("--json")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if stderr.Len() > 0 {
		t.Errorf("on stderr: %s", stderr.String())
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	return r, cmd.ProcessState.ExitCode()
}

// used are the commands that doctor.sh may take from the machine.
var used = strings.Fields("awk cat chmod cut dirname env grep head mkdir mktemp readlink rm sed sort stat tail timeout tr true")

func paint(t *testing.T, s shell, m machine) picture {
	t.Helper()
	root, bin := t.TempDir(), t.TempDir()
	for _, tool := range used {
		for _, dir := range filepath.SplitList(s.path) {
			if _, err := os.Stat(filepath.Join(dir, tool)); err == nil {
				must(t, os.Symlink(filepath.Join(dir, tool), filepath.Join(bin, tool)))
				break
			}
		}
	}
	program := func(name, script string) {
		must(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	}
	for file, content := range m {
		if content == "" || strings.Contains(file, " ") || !strings.ContainsAny(file, "/.") {
			continue
		}
		must(t, os.MkdirAll(filepath.Join(root, filepath.Dir(file)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, file), []byte(strings.TrimSuffix(content, empty)), 0o755))
	}
	if m["ns"] != "" {
		must(t, os.MkdirAll(root+"/proc/self/ns", 0o755))
	}
	for _, ns := range strings.Fields(m["ns"]) {
		number := "4026531800"
		if ns == "pid" {
			number = m["pidns"]
		}
		must(t, os.Symlink(ns+":["+number+"]", root+"/proc/self/ns/"+ns))
	}
	program("uname", fmt.Sprintf("case $1 in -s) echo %s ;; -m) echo %s ;; *) exit 1 ;; esac", m["uname -s"], m["uname -m"]))
	for _, tool := range strings.Fields(m["tools"]) {
		program(tool, "exit 1")
	}
	if m["go version"] != "" {
		program("go", fmt.Sprintf("case \"$*\" in version) echo '%s' ;; 'list -deps '*) case ${3##*/} in %s ;; esac ;; 'list -m '*) %s ;; *) exit 9 ;; esac",
			m["go version"], cmp.Or(m["go list -deps"], "*)"), cmp.Or(m["go list -m"], "exit 1")))
	}
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command(s.program, append([]string{"./doctor.sh"}, args...)...)
		cmd.Env = []string{"PATH=" + bin, "DOCTOR_ROOT=" + root, "TMPDIR=" + t.TempDir(), "HOME=/nonexistent"}
		return cmd
	}
}

// onTerminal returns what the command writes to its terminal.
func onTerminal(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	master, slave := box.Terminal(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	must(t, cmd.Start())
	must(t, slave.Close())
	out, _ := io.ReadAll(master) // ends with EIO when the last slave is closed
	must(t, cmd.Wait())
	return string(out)
}

// here is a run on this machine: what it may leave would be in one of dirs.
func here(t *testing.T, s shell) (cmd *exec.Cmd, dirs []string) {
	t.Helper()
	dirs = []string{t.TempDir(), t.TempDir(), t.TempDir()}
	cmd = exec.Command(s.program, "./doctor.sh")
	cmd.Env = append(os.Environ(), "TMPDIR="+dirs[0], "GO_DOCKER_ROOT="+dirs[1]+"/store", "HOME="+dirs[2])
	if os.Getenv("GO_DOCKER_VM") != "" { // a test guest has no Go: all else can be checked
		bin := t.TempDir()
		must(t, os.WriteFile(bin+"/go", []byte("#!/bin/sh\ncase $1 in version) echo go version go1.25 linux/amd64 ;; esac\n"), 0o755))
		cmd.Env = append(cmd.Env, "PATH="+bin+":"+s.path) // before the go that runs the book
		return cmd, dirs
	}
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	must(t, err)
	goBin, err := exec.LookPath("go")
	must(t, err)
	cmd.Env = append(cmd.Env, "PATH="+s.path+":"+filepath.Dir(goBin), "GOMODCACHE="+strings.TrimSpace(string(cache)))
	return cmd, dirs
}

func leavesNothing(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir {
			t.Errorf("%s is left", path)
		}
		return err
	})
	must(t, err)
}
