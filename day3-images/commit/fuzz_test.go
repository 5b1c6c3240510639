package commit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
	"example.com/go-docker/day3-images/layer"
	"golang.org/x/sys/unix"
)

// FuzzUnpackLayer unpacks anything, and checks whether anything outside has
// changed. What was unpacked must be the same after packing and unpacking it
// again.
//
//	go test -run '^$' -fuzz '^FuzzUnpackLayer$' -fuzzminimizetime 10x ./day3-images
//
// Without -fuzzminimizetime it spends minutes minimizing interesting inputs.
func FuzzUnpackLayer(f *testing.F) {
	testkit.NeedRoot(f)
	for _, c := range testkit.HostileLayers(f) {
		if content := c.Layer(cageOutside); len(content) < 32<<10 { // the fuzzer is slow with large ones
			f.Add(content)
		}
	}
	f.Add(testkit.PeerLayers(f)[1])
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, content := range [][]byte{content, mendChecksums(content)} {
			if err := inCage(func() error { return tryLayer(t, content) }); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// mendChecksums makes the headers of a tar valid again after the fuzzer has
// changed them. Otherwise hardly any would pass the first check.
func mendChecksums(content []byte) []byte {
	content = bytes.Clone(content)
	for rest := content; len(rest) >= 512; {
		copy(rest[148:156], "        ")
		sum := 0
		for _, c := range rest[:512] {
			sum += int(c)
		}
		if sum == 8*' ' { // a block of zeros
			clear(rest[148:156])
		} else {
			copy(rest[148:156], fmt.Sprintf("%06o\x00 ", sum))
		}
		size, _ := strconv.ParseInt(strings.Trim(string(rest[124:136]), " \x00"), 8, 32) // 0 if it is not a number
		next := 512 + (max(size, 0)+511)&^511
		rest = rest[min(next, int64(len(rest))):]
	}
	return content
}

// inCage runs do on a thread of its own that sees the whole machine read-only,
// except for an empty /tmp where no device can be opened.
func inCage(do func() error) error {
	cage.Do(func() { go cageLoop() })
	result := make(chan error)
	cageJobs <- func() { result <- do() }
	return <-result
}

var (
	cage     sync.Once
	cageJobs = make(chan func())
)

func cageLoop() {
	runtime.LockOSThread() // never unlocked, so that no other goroutine gets this thread
	if err := enterCage(); err != nil {
		panic(err)
	}
	for job := range cageJobs {
		job()
	}
}

func enterCage() error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mount tree private: %w", err)
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return fmt.Errorf("make all mounts read-only: %w", err)
	}
	return unix.Mount("tmpfs", "/tmp", "tmpfs", unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, "size=64m,nr_inodes=20000,mode=755")
}

const cageOutside, cageLayer, cageAgain = "/tmp/outside", "/tmp/store/layer", "/tmp/store/again"

func tryLayer(t *testing.T, content []byte) error {
	defer emptyCage()
	for _, dir := range []string{cageOutside, filepath.Dir(cageLayer), cageLayer, cageAgain} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	for _, path := range []string{"/tmp/canary", cageOutside + "/canary", filepath.Dir(cageLayer) + "/canary"} {
		if err := os.WriteFile(path, []byte("sings"), 0o600); err != nil {
			return err
		}
	}
	before, err := outsideFacts()
	if err != nil {
		return err
	}
	q := layer.Quota{Bytes: 4 << 20, Entries: 500}
	unpacked := layer.Unpack(bytes.NewReader(content), cageLayer, &q)
	if after, err := outsideFacts(); err != nil || after != before {
		return fmt.Errorf("outside was\n%s\nand is\n%s, %v", before, after, err)
	}
	if unpacked != nil {
		if strings.ContainsAny(unpacked.Error(), "\n\x00\x1b") || len(unpacked.Error()) > 4096 {
			return fmt.Errorf("an error of more than a line: %q", unpacked)
		}
		return nil
	}
	var packed bytes.Buffer
	if err := packLayer(&packed, cageLayer); err != nil {
		return fmt.Errorf("what was unpacked does not pack: %w", err)
	}
	if err := layer.Unpack(&packed, cageAgain, &layer.Quota{Bytes: 64 << 20, Entries: 2000}); err != nil {
		return fmt.Errorf("what was packed does not unpack: %w", err)
	}
	first, err := testkit.CollectFacts(cageLayer)
	if err != nil {
		return err
	}
	second, err := testkit.CollectFacts(cageAgain)
	if err != nil {
		return err
	}
	for _, all := range []map[string]testkit.Fact{first, second} {
		for name, f := range all {
			if f.Device == "0:0" { // a whiteout has the time when it was made
				f.Mtime = 0
				all[name] = f
			}
		}
	}
	testkit.SameFacts(t, second, first)
	return nil
}

// outsideFacts describes everything in the cage except the layer.
func outsideFacts() (string, error) {
	all, err := testkit.CollectFacts("/tmp")
	var lines []string
	for name, f := range all {
		if !strings.HasPrefix("/tmp/"+name, cageLayer) {
			lines = append(lines, fmt.Sprintf("%s %+v", name, f))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), err
}

func emptyCage() {
	all, err := filepath.Glob("/tmp/*")
	if err != nil {
		panic(err)
	}
	for _, path := range all {
		if err := os.RemoveAll(path); err != nil {
			panic(err)
		}
	}
}
