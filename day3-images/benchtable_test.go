package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Benchmarks run us and our peers in turns, in a single run, so that a busy
// machine slows all of them equally. What counts is the ratio.

// A benchRow is a command that is measured beside others, and how long its runs
// took. Each run gets its own name or directory.
type benchRow struct {
	name      string
	command   func(dir string) *exec.Cmd
	took      []float64 // seconds
	cpu       float64   // seconds of processor time, in the last run
	kilobytes int64     // maximum resident size, of the command's largest process
}

func (r *benchRow) run(b *testing.B, dir string) {
	if r.command == nil {
		return // not installed
	}
	cmd := r.command(dir)
	var said bytes.Buffer
	cmd.Stderr = &said
	started := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s: %v: %s", r.name, err, said.String())
	}
	r.took = append(r.took, time.Since(started).Seconds())
	r.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
}

// measureMemory runs the command once more to measure its memory. A new process
// counts the memory of the process that forked it as its own (exec_mmap in
// fs/exec.c), and we are large. So a small shell forks it and leaves it to us,
// because TestMain made us the reaper of orphans. It begins at the end of its
// input, when the shell is gone, which could wait for it otherwise.
func (r *benchRow) measureMemory(b *testing.B, dir string) {
	b.Helper()
	if r.command == nil {
		return
	}
	cmd := r.command(dir)
	shell := exec.Command("sh", append([]string{"-c", `exec 3<&0; { read -r _ <&3; exec "$@" 3<&-; } >/dev/null 2>&1 & echo $!`, "sh"}, cmd.Args...)...)
	shell.Env = cmd.Env
	input, gate, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	shell.Stdin = input
	text, err := shell.Output()
	if err = errors.Join(err, input.Close(), gate.Close()); err != nil {
		b.Fatalf("%s: %v", r.name, err)
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		b.Fatal(err)
	}
	var usage syscall.Rusage
	if _, err := syscall.Wait4(pid, nil, 0, &usage); err != nil {
		b.Fatalf("%s: wait for it: %v", r.name, err)
	}
	r.kilobytes = usage.Maxrss
}

func (r *benchRow) median() float64 { return r.sorted()[len(r.took)/2] }

func (r *benchRow) fastest() float64 { return r.sorted()[0] }

func (r *benchRow) sorted() []float64 {
	if len(r.took) == 0 {
		return []float64{0}
	}
	return slices.Sorted(slices.Values(r.took))
}

func (r *benchRow) over(other *benchRow) string {
	if r.median() == 0 || other.median() == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", r.median()/other.median())
}

// benchDir makes a directory for a benchmark's programs and their mounts.
func benchDir(b *testing.B) string {
	b.Helper()
	dir := shortDir(b)
	b.Cleanup(func() { unmountBelow(b, dir) }) // before shortDir's own
	return dir
}

// unmountBelow removes the mount that skopeo and podman leave in each store, so
// that the directory can be removed. containers/storage, drivers/overlay
func unmountBelow(b *testing.B, dir string) {
	b.Helper()
	for line := range strings.Lines(mountTable(b)) {
		if at := strings.Fields(line)[4]; strings.HasPrefix(at, dir+"/") {
			if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
				b.Error(err)
			}
		}
	}
}

// settle writes what earlier runs have made to disk and drops it from memory,
// and loads what the next run reads: the programs and the layers, which are the
// files in dir itself. Memory that was just freed has another use: a virtual
// machine gets its memory from the host page by page, on first use, and that
// can take longer than everything else.
func settle(b *testing.B, dir string) {
	b.Helper()
	unix.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("1"), 0); err != nil {
		b.Log(err)
	}
	var files []string
	for _, pattern := range []string{"*", "layout/blobs/*/*", "registry.*/docker/registry/v2/blobs/*/*/*/data"} { // umoci's, the registry's
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			b.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, tool := range []string{"sh", "tar", "gzip", "umoci", "skopeo", "podman"} {
		if path, err := exec.LookPath(tool); err == nil {
			files = append(files, path)
		}
	}
	for _, path := range files {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		file, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		_, err = io.Copy(io.Discard, file)
		if err := errors.Join(err, file.Close()); err != nil {
			b.Fatal(err)
		}
	}
}

// measurements returns the rows as those of a section of the book.
func measurements(section string, rows []*benchRow) (all []measurement) {
	for _, r := range rows {
		all = append(all, measurement{section, r.name, r.took, r.cpu, r.kilobytes})
	}
	return all
}

// benchTable returns a table of the rows, with their ratios to others.
func benchTable(rows []*benchRow, others ...*benchRow) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d rounds\n%-40s %10s %10s %8s %8s", len(rows[0].took), "", "median s", "fastest", "CPU s", "MB")
	for _, other := range others {
		fmt.Fprintf(&text, " %14.14s", "x "+other.name)
	}
	for _, r := range rows {
		fmt.Fprintf(&text, "\n%-40s %10.4f %10.4f %8.3f %8.1f", r.name, r.median(), r.fastest(), r.cpu, float64(r.kilobytes)/1024)
		for _, other := range others {
			fmt.Fprintf(&text, " %14s", r.over(other))
		}
	}
	return text.String()
}

const (
	benchLayerCount = 5
	benchBytes      = 200 << 20
)

// benchLayers makes the layers of an image from files on this machine.
func benchLayers(b *testing.B, dir string) []string {
	b.Helper()
	var tars []string
	for i, list := range fileLists(b) {
		path := filepath.Join(dir, fmt.Sprintf("%d.tar", i))
		cmd := exec.Command("tar", "--format=posix", "--xattrs", "--no-recursion", "-C", "/", "-cf", path, "--null", "-T", "-")
		cmd.Stdin = strings.NewReader(strings.Join(list, "\x00"))
		if text, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("tar: %v: %.500s", err, text)
		}
		tars = append(tars, path)
	}
	return tars
}

// fileLists picks files in /usr for each layer: programs, libraries and many
// small ones. Every directory comes before its contents.
func fileLists(b *testing.B) (lists [][]string) {
	for _, from := range []string{"usr/share", "usr/lib", "usr/bin", "usr/share/doc", "usr/lib"} {
		size := int64(0)
		picked := 0
		list := []string{"usr"} // each name once, or podman refuses them
		if above := filepath.Dir(from); above != "usr" {
			list = append(list, above)
		}
		err := filepath.WalkDir("/"+from, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if d.Type().IsRegular() {
				if info.Size() > 8<<20 {
					return nil
				}
				// The second time in a directory, take other files than the
				// first time.
				if picked++; (picked%2 == 0) == (len(lists) < 3) && from == "usr/lib" {
					return nil
				}
				size += info.Size()
			}
			if size > benchBytes/benchLayerCount {
				return fs.SkipAll
			}
			list = append(list, path[1:])
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		lists = append(lists, list)
	}
	return lists
}
