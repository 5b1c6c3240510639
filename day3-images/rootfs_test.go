package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/demo"
	"example.com/go-docker/day3-images/hierarchy"
	"example.com/go-docker/day3-images/internal/testkit"
	"example.com/go-docker/day3-images/layer"
	"example.com/go-docker/day3-images/snapshot"
)

// What a container finds around itself.
func TestRoot(t *testing.T) {
	s := boxes(t, nil)
	s.says(t, "bin dev etc proc root sys tmp\n", "echo $(ls /)")
	s.says(t, "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero\n", "echo $(ls /dev)")
	s.says(t, "1,3 1,7 1,8 666\n", `echo $(stat -c %t,%T /dev/null /dev/full /dev/random) $(stat -c %a /dev/null)`)
	s.says(t, "1777 755\n", "echo $(stat -c %a /dev/shm) $(stat -c %a /)")
	s.says(t, "127.0.0.1 h h\n", "grep localhost /etc/hosts | sed 's/\t.*//;q' | tr '\\n' ' '; hostname | tr '\\n' ' '; cat /etc/hostname", "--hostname", "h")
	if resolv, err := os.ReadFile("/etc/resolv.conf"); err == nil {
		s.says(t, string(resolv), "cat /etc/resolv.conf")
	}
	// It sees only its own processes; PID 1 is our init.
	s.says(t, "1 2\n", "cd /proc; set -- [0-9]*; echo $1 $#")
	// The old root is gone: everything is mounted below the new one, which is
	// an overlay.
	s.says(t, "overlay\n", `sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \/ .* - \([a-z]*\) .*/\1/p' /proc/self/mountinfo`)
	s.says(t, "0 1 2 3\n", "cd /proc/self/fd; echo *") // the shell reads the directory through 3
	s.says(t, "bin/busybox\n", "cd /..; cd ../../..; ls bin/busybox")
}

// Docker's lists.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
	}
	readOnlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// What /proc and /sys would show of the host is hidden or read-only.
func TestMaskedPaths(t *testing.T) {
	s := boxes(t, nil)
	for _, path := range maskedPaths {
		info, err := os.Stat(path)
		switch {
		case err != nil: // this kernel does not have it
		case info.IsDir():
			s.says(t, "", "ls -A "+path)
		default:
			s.says(t, "", "cat "+path)
		}
	}
	for _, script := range []string{
		"echo x >/proc/sys/kernel/core_pattern", "echo x >/proc/sys/kernel/hostname", "mkdir /sys/kernel/x",
		"mount -t tmpfs tmpfs /tmp", "umount /proc", "mount -o remount,rw /sys", "hostname x", "mknod /tmp/sda b 8 0", "mknod /dev/sda b 8 0",
	} {
		got := finish(t, s.run(t, "--rm", "busybox", "sh", "-c", script))
		if got.status == 0 || !strings.Contains(got.stderr, "Read-only") && !strings.Contains(got.stderr, "not permitted") && !strings.Contains(got.stderr, "ermission denied") {
			t.Errorf("%s: %+q", script, got)
		}
	}
	if _, err := os.Stat("/proc/sysrq-trigger"); err == nil {
		if got := finish(t, s.run(t, "--rm", "busybox", "sh", "-c", "echo h >/proc/sysrq-trigger")); !strings.Contains(got.stderr, "Read-only") {
			t.Errorf("%+q", got)
		}
	}
	const kept = "00000000a00425fb" // Docker's a80425fb without CAP_MKNOD
	s.says(t, kept+"\n"+kept+"\n0000000000000000\n", `sed -n 's/^Cap\(Eff\|Bnd\|Inh\):.//p' /proc/self/status | sort -r`)
	s.says(t, "0000000000000000\n", `sed -n 's/^CapEff:.//p' /proc/self/status`, "-u", "1")
}

// Devices in the image cannot be opened, and its setuid programs work.
func TestImageDevices(t *testing.T) {
	s := boxes(t, []testkit.Entry{testkit.Node("null", '3', 1, 3).WithMode(0o666), testkit.Dir("dev"), testkit.File("dev/of-the-image", "")})
	got := finish(t, s.run(t, "--rm", "busybox", "cat", "/null"))
	if got.status == 0 || !strings.Contains(got.stderr, "ermission denied") {
		t.Errorf("%+q", got)
	}
	s.says(t, "", "ls /dev/of-the-image 2>/dev/null || true")
}

func TestReadOnly(t *testing.T) {
	s := boxes(t, nil, "VOLUME /data")
	got := finish(t, s.run(t, "--rm", "--read-only", "busybox", "touch", "/x"))
	if got.status == 0 || !strings.Contains(got.stderr, "Read-only file system") {
		t.Errorf("%+q", got)
	}
	s.says(t, "", "touch /data/x /dev/shm/x; cd /made", "--read-only", "-w", "/made")
}

// Images in which /proc, /sys, /dev or a place below them leads elsewhere
// (CVE-2019-19921, CVE-2023-27561, CVE-2025-31133): nothing on the host
// changes.
func TestHostileRoots(t *testing.T) {
	kernelTest(t)
	outside := t.TempDir()
	for name, links := range map[string][]testkit.Entry{
		"proc":        {testkit.Symlink("proc", outside)},
		"proc in it":  {testkit.Dir("evil"), testkit.Symlink("proc", "evil")},
		"sys":         {testkit.Symlink("sys", "../../../../.."+outside)},
		"dev":         {testkit.Symlink("dev", outside)},
		"proc a file": {testkit.File("proc", "")},
	} {
		t.Run(name, func(t *testing.T) {
			s := boxes(t, links)
			got := finish(t, s.run(t, "busybox", "true"))
			if got.status != 125 || !strings.Contains(got.stderr, "symbolic link: refused") && !strings.Contains(got.stderr, "not a directory") {
				t.Errorf("%+q", got)
			}
		})
	}
	// A link in /etc is followed, but only inside the container.
	s := boxes(t, []testkit.Entry{testkit.Dir("etc"), testkit.Symlink("etc/hosts", outside+"/hosts"), testkit.Symlink("etc/hostname", "/proc/1/root/x")})
	got := finish(t, s.run(t, "--rm", "busybox", "sh", "-c", "grep -c localhost /etc/hosts"))
	if got.status != 0 && !strings.Contains(got.stderr, "open in the container") {
		t.Errorf("%+q", got)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

// A layer that hides everything below does so, although the kernel ignores the
// mark on its top directory. An image may have so many layers that their paths
// would not fit in a page.
func TestStack(t *testing.T) {
	s := boxes(t, nil)
	img, err := s.Resolve("busybox")
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for i := range 300 {
		all = append(all, testkit.Tar(t, testkit.File("n", fmt.Sprint(i, "\n")), testkit.File(fmt.Sprint("d", i%7), "")))
	}
	opaque := testkit.Tar(t, append([]testkit.Entry{testkit.File(layer.OpaqueMarker, "")}, busyboxFiles(t)...)...)
	for name, layers := range map[string][][]byte{"deep": all, "hidden": {testkit.Tar(t, testkit.File("below", "")), opaque}} {
		if name == "deep" {
			layers = append([][]byte{testkit.Tar(t, busyboxFiles(t)...)}, layers...)
		}
		archive := filepath.Join(t.TempDir(), "archive.tar")
		if err := os.WriteFile(archive, tarOf(t, makeImage(t, layers...).dockerFiles(t, name+":1")), 0o600); err != nil {
			t.Fatal(err)
		}
		ok(t, s, "load", "-i", archive)
	}
	if got := finish(t, s.run(t, "--rm", "deep:1", "cat", "/n")); got != (outcome{0, "299\n", ""}) {
		t.Errorf("%+q", got)
	}
	if got := finish(t, s.run(t, "--rm", "hidden:1", "ls", "/below")); got.status == 0 || !strings.Contains(got.stderr, "No such file") {
		t.Errorf("%+q", got)
	}
	finish(t, s.run(t, "--name", "box", "hidden:1", "true")).want(t, "")
	if names := exported(t, s, "box"); strings.Contains(strings.Join(names, " "), "below") {
		t.Errorf("commit -o has what is hidden: %q", names)
	}
	if _, err := snapshot.Dirs(t.Context(), s.Store, img); err != nil {
		t.Error(err)
	}
}

// If an image's accounts are not files, the container does not start. A FIFO
// would keep it waiting, and /proc/kmsg is the host's log.
func TestSpecialAccounts(t *testing.T) {
	for _, name := range []string{"passwd", "group"} {
		for _, special := range []testkit.Entry{testkit.Node("etc/"+name, '6', 0, 0), testkit.Symlink("etc/"+name, "/proc/kmsg"), testkit.Dir("etc/" + name)} {
			s := boxes(t, []testkit.Entry{testkit.Dir("etc"), special})
			for _, init := range []string{"--init=true", "--init=false"} {
				refuses(t, s.run(t, "--rm", init, "busybox", "true"), 125, "/etc/"+name, "not a regular file")
			}
		}
	}
}

// A program finds its limits where it looks for them: since Go 1.25, Go's
// runtime takes GOMAXPROCS from there, but at least 2.
func TestProgramsSeeTheirLimits(t *testing.T) {
	s := boxes(t, nil)
	version, _, err := hierarchy.ByController()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"cpu.cfs_quota_us 100000", "memory.limit_in_bytes 268435456"}
	if version == 2 {
		want = []string{"cpu.max 100000 100000", "memory.max 268435456"}
	}
	want = append(want, fmt.Sprint("GOMAXPROCS ", min(2, runtime.NumCPU())))
	options := []string{"--rm", "--cpus", "1", "-m", "256m"}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	options = append(options, "-v", exe+":/bin/day3-images:ro")
	options = append(options, demo.Libraries()...)
	for _, more := range [][]string{nil, {"--init=false"}, {"--read-only", "-u", "1234"}} {
		got := finish(t, s.run(t, slices.Concat(options, more, []string{"busybox", "/bin/day3-images", "payload", "limits"})...))
		lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
		slices.Sort(lines)
		slices.Sort(want)
		if got.status != 0 || got.stderr != "" || !slices.Equal(lines, want) {
			t.Errorf("%q: %+q, want %q", more, got, want)
		}
	}
}

// A container sees only its own cgroups, and cannot write to them.
func TestCgroupsAreReadOnly(t *testing.T) {
	s := boxes(t, nil)
	version, controllers, err := hierarchy.ByController()
	if err != nil {
		t.Fatal(err)
	}
	directories := 1
	for _, name := range counters[version] {
		if _, ok := controllers[name]; ok && version == 1 {
			directories++ // or a link to one
		}
	}
	s.says(t, fmt.Sprintln(directories), `n=0
		for f in /sys/fs/cgroup /sys/fs/cgroup/* /sys/fs/cgroup/*/* /sys/fs/cgroup/*/*/*; do
			if [ -d $f ]; then n=$((n+1)); if mkdir $f/x; then echo mkdir $f; fi
			elif [ -f $f ] && echo 1 >$f; then echo wrote $f; fi
		done 2>/dev/null; echo $n`)
	for _, script := range []string{"mount -o remount,rw /sys/fs/cgroup", "umount /sys/fs/cgroup", "rm /sys/fs/cgroup/memory"} {
		if got := finish(t, s.run(t, "--rm", "busybox", "sh", "-c", script)); got.status == 0 {
			t.Errorf("%s: %+q", script, got)
		}
	}
	// Users who want it writable can mount it, because -v comes later.
	s.says(t, "file\n", "echo file >/sys/fs/cgroup/x; cat /sys/fs/cgroup/x", "-v", t.TempDir()+":/sys/fs/cgroup")
}
