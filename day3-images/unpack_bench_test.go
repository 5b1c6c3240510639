package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	unpackLayers = 5
	unpackBytes  = 200 << 20
	unpackRounds = 3 // at least; more with -benchtime 10x, fewer with -short
)

// BenchmarkUnpack unpacks an image of five layers, some 200 MB of this machine's
// /usr, as the store does, and beside it umoci and tar -xz do the same. Digests
// are verified by us and by umoci. Each run gets a new directory, and what was
// unpacked is removed only in the end: a file system that has just removed many
// files is slow. In each round every row runs once, in an order of its own.
func BenchmarkUnpack(b *testing.B) {
	needRoot(b)
	dir := b.TempDir()
	rows := unpackRows(b, dir)
	n := 0
	round := func() {
		for _, i := range rand.Perm(len(rows)) {
			n++
			rows[i].run(b, filepath.Join(dir, fmt.Sprint("run", n)))
		}
	}
	for b.Loop() {
		round()
	}
	for !testing.Short() && len(rows[0].took) < unpackRounds {
		round()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d rounds\n%-34s %9s %9s %8s %8s %8s %8s", len(rows[0].took), "", "median s", "fastest", "CPU s", "MB", "x tar", "x umoci")
	tar, umoci := rows[0], rows[1]
	for _, r := range rows {
		fmt.Fprintf(&text, "\n%-34s %9.2f %9.2f %8.2f %8d %8s %8s", r.name, r.median(), r.fastest(), r.cpu, r.kilobytes>>10, r.over(tar), r.over(umoci))
	}
	b.Log(text.String())
	b.ReportMetric(0, "ns/op") // a round's length says nothing; 0 hides it
	ours, memory := rows[2], int64(0)
	for _, r := range rows[2:] {
		memory = max(memory, r.kilobytes)
	}
	b.ReportMetric(ours.median(), "s")
	b.ReportMetric(ours.median()/tar.median(), "x-tar")
	if len(umoci.took) > 0 {
		b.ReportMetric(ours.median()/umoci.median(), "x-umoci")
	}
	b.ReportMetric(float64(memory)/1024, "MB-peak")
}

// An unpackRow is a command that unpacks the image into a directory, and how
// long its runs took.
type unpackRow struct {
	name      string
	command   func(dir string) *exec.Cmd
	took      []float64 // seconds
	cpu       float64   // seconds of processor time, in the last run
	kilobytes int64     // resident at most, all processes of the command taken one by one
}

func (r *unpackRow) run(b *testing.B, dir string) {
	if r.command == nil {
		return // not installed
	}
	unix.Sync() // what earlier runs wrote
	cmd := r.command(dir)
	var said bytes.Buffer
	cmd.Stderr = &said
	started := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s: %v: %s", r.name, err, said.String())
	}
	r.took = append(r.took, time.Since(started).Seconds())
	r.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	r.kilobytes = max(r.kilobytes, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
}

func (r *unpackRow) median() float64 { return r.sorted()[len(r.took)/2] }

func (r *unpackRow) fastest() float64 { return r.sorted()[0] }

func (r *unpackRow) sorted() []float64 {
	if len(r.took) == 0 {
		return []float64{0}
	}
	return slices.Sorted(slices.Values(r.took))
}

func (r *unpackRow) over(other *unpackRow) string {
	if r.median() == 0 || other.median() == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", r.median()/other.median())
}

// unpackRows makes the layers and the ways to unpack them: tar, umoci, us as
// the store does it, and us otherwise.
func unpackRows(b *testing.B, dir string) []*unpackRow {
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
	toolOutput(b, "gzip", append([]string{"-k"}, tars...)...)
	gz := withSuffix(tars, ".gz")
	rows := []*unpackRow{
		{name: "tar -xz, one after another", command: func(to string) *exec.Cmd {
			script := `mkdir "$1" && dir=$1 && shift && for layer; do tar --xattrs -xzf "$layer" -C "$dir" || exit; done`
			return exec.Command("sh", append([]string{"-c", script, "sh", to}, gz...)...)
		}},
		{name: "umoci raw unpack: not installed"},
		{name: "ours, gzip, as the store", command: ourUnpack(layersAtOnce, gz)},
		{name: "ours, gzip, one after another", command: ourUnpack(1, gz)},
		{name: "ours, plain tar, as the store", command: ourUnpack(layersAtOnce, tars)},
	}
	if _, err := exec.LookPath("zstd"); err == nil {
		toolOutput(b, "zstd", append([]string{"-q"}, tars...)...)
		rows = append(rows, &unpackRow{name: "ours, zstd, as the store", command: ourUnpack(layersAtOnce, withSuffix(tars, ".zst"))})
	}
	if _, err := exec.LookPath("umoci"); err == nil {
		layout := filepath.Join(dir, "layout")
		toolOutput(b, "umoci", "init", "--layout", layout)
		toolOutput(b, "umoci", "new", "--image", layout+":bench")
		for _, tar := range tars {
			toolOutput(b, "umoci", "raw", "add-layer", "--image", layout+":bench", tar)
		}
		rows[1] = &unpackRow{name: "umoci raw unpack", command: func(to string) *exec.Cmd {
			return exec.Command("umoci", "raw", "unpack", "--image", layout+":bench", to)
		}}
	}
	return rows
}

func withSuffix(paths []string, suffix string) (all []string) {
	for _, path := range paths {
		all = append(all, path+suffix)
	}
	return all
}

// fileLists picks files of /usr, programs, libraries and many small ones, for
// each layer: every directory before what is in it.
func fileLists(b *testing.B) (lists [][]string) {
	for _, from := range []string{"usr/share", "usr/lib", "usr/bin", "usr/share/doc", "usr/lib"} {
		size := int64(0)
		picked := 0
		list := []string{"usr", filepath.Dir(from)}
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
				// The second time in a directory, other files than the first.
				if picked++; (picked%2 == 0) == (len(lists) < 3) && from == "usr/lib" {
					return nil
				}
				size += info.Size()
			}
			if size > unpackBytes/unpackLayers {
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

// ourUnpack runs this program again, as a program that only unpacks.
func ourUnpack(atOnce int, layers []string) func(string) *exec.Cmd {
	return func(to string) *exec.Cmd {
		cmd := exec.Command("/proc/self/exe", append([]string{to}, layers...)...)
		cmd.Env = append(os.Environ(), fmt.Sprint("GO_DOCKER_TEST_UNPACK=", atOnce), "GO_DOCKER_TEST_BOX=1")
		return cmd
	}
}

func init() {
	var atOnce int
	if _, err := fmt.Sscan(os.Getenv("GO_DOCKER_TEST_UNPACK"), &atOnce); err != nil {
		return
	}
	if err := unpackAll(atOnce, os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func unpackAll(atOnce int, dir string, layers []string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(atOnce)
	q := &quota{bytes: 1 << 40, entries: 1 << 30}
	for i, layer := range layers {
		group.Go(func() error { return unpackWithDigests(layer, filepath.Join(dir, fmt.Sprint(i)), q) })
	}
	return group.Wait()
}

func unpackWithDigests(path, dir string, q *quota) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	blob, diff := sha256.New(), sha256.New()
	layer, err := decompress(io.TeeReader(file, blob))
	if err != nil {
		return err
	}
	defer layer.Close()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := unpackLayer(io.TeeReader(layer, diff), dir, q); err != nil {
		return err
	}
	if hex.EncodeToString(blob.Sum(nil)) == hex.EncodeToString(diff.Sum(nil)) && !strings.HasSuffix(path, ".tar") {
		return errors.New("the digests are not taken")
	}
	return nil
}
