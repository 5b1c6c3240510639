package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day1-namespaces/namespace"
)

// A fact is what one namespace looks like from inside.
type fact struct {
	Namespace string `json:"namespace"`
	Inode     string `json:"inode"` // the namespace's identity, namespaces(7)
	Sees      string `json:"sees"`
}

// PrintFacts prints what each namespace looks like from here, as JSON.
func PrintFacts(out io.Writer) error {
	facts, err := collectFacts()
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(facts)
}

func collectFacts() ([]fact, error) {
	look := map[string]func() (string, error){
		"uts": os.Hostname, "ipc": sharedMemory, "pid": processes, "mount": mounts,
		"net": interfaces, "user": identity, "cgroup": cgroupPath,
	}
	var facts []fact
	for _, kind := range namespace.Kinds {
		if !kind.Supported() {
			continue
		}
		inode, err := os.Readlink("/proc/self/ns/" + kind.File)
		if err != nil {
			return nil, err
		}
		sees, err := look[kind.Name]()
		if err != nil {
			return nil, fmt.Errorf("look at the %s namespace: %w", kind.Name, err)
		}
		facts = append(facts, fact{kind.Name, strings.Trim(inode, "abcdefghijklmnopqrstuvwxyz:[]"), sees})
	}
	return facts, nil
}

func sharedMemory() (string, error) {
	text, err := os.ReadFile("/proc/sysvipc/shm")
	return count(max(strings.Count(string(text), "\n")-1, 0), "shared memory segment", "shared memory segments"), err
}

func processes() (string, error) {
	entries, err := os.ReadDir("/proc")
	n := 0
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			n++
		}
	}
	return fmt.Sprintf("pid %d of %s", os.Getpid(), count(n, "process", "processes")), err
}

func mounts() (string, error) {
	all, err := mountinfo.GetMounts(nil)
	if err != nil {
		return "", err
	}
	shared := 0
	for _, m := range all {
		if strings.Contains(m.Optional, "shared:") {
			shared++
		}
	}
	return fmt.Sprintf("%s, %d shared", count(len(all), "mount", "mounts"), shared), nil
}

func interfaces() (string, error) {
	all, err := net.Interfaces()
	names := make([]string, len(all))
	for i, dev := range all {
		names[i] = dev.Name
	}
	return strings.Join(names, " "), err
}

// identity tries something harmless that only root in the initial user
// namespace may do: raising its own priority.
func identity() (string, error) {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return "", err
	}
	var inside, outside, size int
	if _, err := fmt.Sscan(string(text), &inside, &outside, &size); err != nil {
		return "", fmt.Errorf("read /proc/self/uid_map: %w", err)
	}
	who := fmt.Sprintf("uid %d", os.Getuid())
	if inside != outside {
		who += fmt.Sprintf(" (%d outside)", os.Getuid()-inside+outside)
	}
	knice, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return "", fmt.Errorf("get our priority: %w", err)
	}
	nice := 20 - knice // the system call returns 20 - nice to stay positive, getpriority(2)
	if unix.Setpriority(unix.PRIO_PROCESS, 0, nice-1) != nil {
		return who + ", may not raise its priority", nil
	}
	return who + ", may raise its priority", unix.Setpriority(unix.PRIO_PROCESS, 0, nice)
}

// cgroupPath returns the longest path in /proc/self/cgroup: cgroup v1 has one
// for each hierarchy, and most are just "/".
func cgroupPath() (string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	longest := ""
	for line := range strings.Lines(string(text)) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); len(f) == 3 && len(f[2]) > len(longest) {
			longest = f[2]
		}
	}
	return longest, err
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
