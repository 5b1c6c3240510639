package hierarchy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
)

// Mount tables and /proc/self/cgroup from machines that we do not have. /C
// stands for /sys/fs/cgroup.
var machines = []struct {
	name, mounts, controllers, own string

	version int
	want    string // controllers and where they are
	cgroup  string // the directory of our own cgroup for memory
	err     string
}{
	{
		name: "v2, Ubuntu",
		mounts: `22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
26 22 0:23 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
35 26 0:29 / /C rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot`,
		controllers: "cpuset cpu io memory hugetlb pids rdma misc",
		own:         "0::/user.slice/user-1000.slice/session-3.scope\n",
		version:     2,
		want:        "cpu:/C cpuset:/C memory:/C pids:/C",
		cgroup:      "/C/user.slice/user-1000.slice/session-3.scope",
	}, {
		name: "v1, controllers mounted together",
		mounts: `30 25 0:26 / /C ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
31 30 0:27 / /C/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd
34 30 0:30 / /C/cpu,cpuacct rw shared:15 - cgroup cgroup rw,cpu,cpuacct
35 30 0:31 / /C/net_cls,net_prio rw shared:16 - cgroup cgroup rw,net_cls,net_prio
36 30 0:32 / /C/pids rw shared:17 - cgroup cgroup rw,pids
37 30 0:33 / /C/memory rw shared:18 - cgroup cgroup rw,memory
38 30 0:34 / /C/cpuset rw shared:19 - cgroup cgroup rw,cpuset,clone_children`,
		own:     "12:pids:/user.slice\n11:memory:/user.slice/session-1.scope\n5:cpu,cpuacct:/\n1:name=systemd:/memory\n",
		version: 1,
		want:    "cpu:/C/cpu,cpuacct cpuacct:/C/cpu,cpuacct cpuset:/C/cpuset memory:/C/memory pids:/C/pids",
		cgroup:  "/C/memory/user.slice/session-1.scope",
	}, {
		name: "hybrid: v2 is there and has no memory",
		mounts: `40 30 0:36 / /C/unified rw - cgroup2 cgroup2 rw,nsdelegate
37 30 0:33 / /C/memory rw - cgroup cgroup rw,memory
34 30 0:30 / /C/cpu rw - cgroup cgroup rw,cpu`,
		own:     "11:memory:/\n5:cpu:/\n0::/init.scope\n",
		version: 1,
		want:    "cpu:/C/cpu memory:/C/memory",
		cgroup:  "/C/memory",
	}, {
		name: "hybrid: memory is in v2, cpu left in v1",
		mounts: `34 30 0:30 / /C/cpu rw - cgroup cgroup rw,cpu
40 30 0:36 / /C/unified rw - cgroup2 cgroup2 rw`,
		controllers: "memory pids",
		own:         "5:cpu:/\n0::/init.scope\n",
		version:     2,
		want:        "memory:/C/unified pids:/C/unified",
		cgroup:      "/C/unified/init.scope",
	}, {
		name: "cgroup2 mounted twice: the first counts",
		mounts: `35 26 0:29 / /C rw shared:9 - cgroup2 cgroup2 rw
90 26 0:29 / /C/again rw shared:9 - cgroup2 cgroup2 rw`,
		controllers: "memory",
		own:         "0::/a:b\n", // a name may contain a colon
		version:     2,
		want:        "memory:/C",
		cgroup:      "/C/a:b",
	}, {
		name: "in a v1 container that shows its own cgroup only",
		mounts: `60 50 0:33 /docker/x /C/memory ro - cgroup cgroup rw,memory
61 50 0:32 /docker/x /C/pids ro - cgroup cgroup rw,pids`,
		own:     "11:memory:/docker/x/inner\n12:pids:/docker/x\n",
		version: 1,
		want:    "memory:/C/memory pids:/C/pids",
		cgroup:  "/C/memory/inner",
	}, {
		name:        "our cgroup is outside of what is mounted",
		mounts:      `60 50 0:29 /docker/x /C rw - cgroup2 cgroup2 rw`,
		controllers: "memory",
		own:         "0::/system.slice\n",
		version:     2,
		want:        "memory:/C",
		cgroup:      "/C",
	}, {
		name:        "a space in the path",
		mounts:      `60 50 0:29 / /C/a\040b rw - cgroup2 cgroup2 rw`,
		controllers: "memory",
		own:         "0::/\n",
		version:     2,
		want:        "memory:/C/a b",
		cgroup:      "/C/a b",
	}, {
		name:   "v1 without memory",
		mounts: `34 30 0:30 / /C/cpu rw - cgroup cgroup rw,cpu`,
		err:    "cgroup_disable=memory",
	}, {
		name:   "none",
		mounts: `22 1 259:2 / / rw - ext4 /dev/sda1 rw`,
		err:    "no cgroup file system is mounted",
	},
}

func TestHierarchies(t *testing.T) {
	for _, m := range machines {
		t.Run(m.name, func(t *testing.T) {
			dir := t.TempDir()
			here := strings.NewReplacer("/C", dir).Replace
			mounts, err := mountinfo.GetMountsFromReader(strings.NewReader(here(m.mounts)), mountinfo.FSTypeFilter("cgroup", "cgroup2"))
			if err != nil {
				t.Fatal(err)
			}
			var all []Hierarchy
			for _, mount := range mounts {
				h := hierarchyOf(mount)
				if h.Version == 2 {
					if err := os.MkdirAll(h.Mount, 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(h.Mount, "cgroup.controllers"), []byte(m.controllers+"\n"), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if h.Controllers, err = h.readControllers(mount.VFSOptions); err != nil {
					t.Fatal(err)
				}
				all = append(all, h)
			}
			version, byName, err := chooseVersion(all)
			if m.err != "" {
				if err == nil || !strings.Contains(err.Error(), m.err) {
					t.Fatalf("got version %d, error %v", version, err)
				}
				return
			}
			if err != nil || version != m.version {
				t.Fatalf("got version %d, %v", version, err)
			}
			var got []string
			for _, name := range v1Controllers { // in this order
				if h, ok := byName[name]; ok {
					got = append(got, fmt.Sprintf("%s:%s", name, h.Mount))
				}
			}
			if strings.Join(got, " ") != here(m.want) {
				t.Errorf("got %q, want %q", got, here(m.want))
			}
			if cgroup, err := byName["memory"].cgroupIn(m.own); err != nil || cgroup != here(m.cgroup) {
				t.Errorf("own cgroup %q, %v, want %q", cgroup, err, here(m.cgroup))
			}
		})
	}
}

func TestNoLineForHierarchy(t *testing.T) {
	h := Hierarchy{Version: 2, Mount: "/mnt", Root: "/"}
	if got, err := h.cgroupIn("1:memory:/x\nnonsense\n"); err == nil || !strings.Contains(err.Error(), "/mnt") {
		t.Errorf("got %q, %v", got, err)
	}
}

// The top itself must not be among what is made below it: in version 2 what is
// above the top has no controllers to pass on.
func TestChain(t *testing.T) {
	h := Hierarchy{Version: 2, Mount: "/mnt"}
	for parent, want := range map[string]string{
		"/": "/mnt", "//": "/mnt", ".": "/mnt", "a": "/mnt /mnt/a", "./a": "/mnt /mnt/a", "/a//b/": "/mnt /mnt/a /mnt/a/b",
	} {
		if dirs, err := h.Chain(parent); err != nil || strings.Join(dirs, " ") != want {
			t.Errorf("%q: %q, %v, want %q", parent, dirs, err, want)
		}
	}
}

// Whatever the text says, our cgroup is in the hierarchy.
func FuzzCgroupIn(f *testing.F) {
	for _, m := range machines {
		f.Add(m.own, "/docker/x")
	}
	f.Add("0::/../..\n", "/..")
	f.Fuzz(func(t *testing.T, text, root string) {
		for _, h := range []Hierarchy{
			{Version: 1, Mount: "/mnt/memory", Root: root, Controllers: []string{"memory"}},
			{Version: 2, Mount: "/mnt/memory", Root: root},
		} {
			dir, err := h.cgroupIn(text)
			if err == nil && dir != "/mnt/memory" && !strings.HasPrefix(dir, "/mnt/memory/") {
				t.Errorf("%q and root %q: %q", text, root, dir)
			}
		}
	})
}

// FuzzMountTable feeds mountinfo(5) to all the steps from parsing to the
// choice.
func FuzzMountTable(f *testing.F) {
	for _, m := range machines {
		f.Add(strings.ReplaceAll(m.mounts, "/C", "/sys/fs/cgroup"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		mounts, err := mountinfo.GetMountsFromReader(strings.NewReader(text), mountinfo.FSTypeFilter("cgroup"))
		if err != nil {
			return
		}
		var all []Hierarchy
		for _, m := range mounts {
			h := hierarchyOf(m)
			h.Controllers, _ = h.readControllers(m.VFSOptions)
			all = append(all, h)
		}
		version, byName, err := chooseVersion(all)
		if _, ok := byName["memory"]; ok != (err == nil) || err == nil && version != 1 {
			t.Errorf("%q: version %d, %v, %v", text, version, byName, err)
		}
	})
}
