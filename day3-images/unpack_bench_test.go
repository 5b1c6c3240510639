package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/compression"
	"example.com/go-docker/day3-images/internal/testkit"
	"example.com/go-docker/day3-images/layer"
	"golang.org/x/sync/errgroup"
)

const unpackRounds = 3 // by default; more with -benchtime 10x, fewer with -short

const layersAtOnce = 3 // as snapshot has it

// BenchmarkUnpack unpacks an image of five layers, some 200 MB of this
// machine's /usr, as the store does, and compares umoci and tar -xz. We and
// umoci verify digests. Each run gets a new directory, and everything is
// removed only at the end, because a file system that has just removed many
// files is slow. Each round runs every row once, in random order.
func BenchmarkUnpack(b *testing.B) {
	needRoot(b)
	dir := b.TempDir()
	rows := unpackRows(b, dir)
	for i, r := range rows {
		r.measureMemory(b, filepath.Join(dir, fmt.Sprint("memory", i)))
	}
	n := 0
	round := func() {
		for _, i := range rand.Perm(len(rows)) {
			n++
			settle(b, dir)
			rows[i].run(b, filepath.Join(dir, fmt.Sprint("run", n)))
		}
	}
	for b.Loop() {
		round()
	}
	for !testing.Short() && len(rows[0].took) < unpackRounds {
		round()
	}
	tar, umoci := rows[0], rows[1]
	b.Log(benchTable(rows, tar, umoci))
	recordBench(b, measurements("unpack", rows))
	b.ReportMetric(0, "ns/op") // the length of a round means nothing; 0 hides it
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

// unpackRows makes the layers and the ways to unpack them: tar, umoci, us like
// the store, and variants of us.
func unpackRows(b *testing.B, dir string) []*benchRow {
	tars := benchLayers(b, dir)
	testkit.ToolOutput(b, "gzip", append([]string{"-k"}, tars...)...)
	gz := withSuffix(tars, ".gz")
	rows := []*benchRow{
		{name: "tar -xz, one after another", command: tarUnpack("-xzf", gz)},
		{name: "umoci raw unpack: not installed"},
		{name: "ours, gzip, as the store", command: ourUnpack(b, layersAtOnce, gz)},
		{name: "ours, gzip, one after another", command: ourUnpack(b, 1, gz)},
		{name: "ours, plain tar, as the store", command: ourUnpack(b, layersAtOnce, tars)},
	}
	if _, err := exec.LookPath("zstd"); err == nil {
		testkit.ToolOutput(b, "zstd", append([]string{"-q"}, tars...)...)
		rows = append(rows, &benchRow{name: "ours, zstd, as the store", command: ourUnpack(b, layersAtOnce, withSuffix(tars, ".zst"))})
	}
	// How long each half of the work takes alone.
	rows = append(rows,
		&benchRow{name: "half the work: tar -x, of plain tars", command: tarUnpack("-xf", tars)},
		&benchRow{name: "half the work: ours, gzip, nothing written", command: ourUnpack(b, layersAtOnce, gz, "GO_DOCKER_TEST_DISCARD=1")})
	if _, err := exec.LookPath("umoci"); err == nil {
		layout := filepath.Join(dir, "layout")
		testkit.ToolOutput(b, "umoci", "init", "--layout", layout)
		testkit.ToolOutput(b, "umoci", "new", "--image", layout+":bench")
		for _, tar := range tars {
			testkit.ToolOutput(b, "umoci", "raw", "add-layer", "--image", layout+":bench", tar)
		}
		rows[1] = &benchRow{name: "umoci raw unpack", command: func(to string) *exec.Cmd {
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

// tarUnpack unpacks one layer after another.
func tarUnpack(flags string, layers []string) func(string) *exec.Cmd {
	script := `mkdir "$1" && dir=$1 flags=$2 && shift 2 && for layer; do tar --xattrs "$flags" "$layer" -C "$dir" || exit; done`
	return func(to string) *exec.Cmd {
		return exec.Command("sh", append([]string{"-c", script, "sh", to, flags}, layers...)...)
	}
}

// ourUnpack runs this program again as one that only unpacks.
func ourUnpack(b *testing.B, atOnce int, layers []string, env ...string) func(string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	return func(to string) *exec.Cmd {
		cmd := exec.Command(self, append([]string{to}, layers...)...)
		cmd.Env = slices.Concat(os.Environ(), []string{fmt.Sprint("GO_DOCKER_TEST_UNPACK=", atOnce), "GO_DOCKER_TEST_BOX=1"}, env)
		return cmd
	}
}

func init() {
	var atOnce int
	if _, err := fmt.Sscan(os.Getenv("GO_DOCKER_TEST_UNPACK"), &atOnce); err != nil {
		return
	}
	unpack := layer.Unpack
	if os.Getenv("GO_DOCKER_TEST_DISCARD") != "" {
		unpack = func(tar io.Reader, _ string, _ *layer.Quota) error { _, err := io.Copy(io.Discard, tar); return err }
	}
	if err := unpackAll(atOnce, os.Args[1], os.Args[2:], unpack); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func unpackAll(atOnce int, dir string, layers []string, unpack func(io.Reader, string, *layer.Quota) error) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(atOnce)
	q := &layer.Quota{Bytes: 1 << 40, Entries: 1 << 30}
	for i, layer := range layers {
		group.Go(func() error { return unpackWithDigests(layer, filepath.Join(dir, fmt.Sprint(i)), q, unpack) })
	}
	return group.Wait()
}

func unpackWithDigests(path, dir string, q *layer.Quota, unpack func(io.Reader, string, *layer.Quota) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	blob, diff := sha256.New(), sha256.New()
	plain, err := compression.Decompress(io.TeeReader(file, blob))
	if err != nil {
		return err
	}
	defer plain.Close()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := unpack(io.TeeReader(plain, diff), dir, q); err != nil {
		return err
	}
	if hex.EncodeToString(blob.Sum(nil)) == hex.EncodeToString(diff.Sum(nil)) && !strings.HasSuffix(path, ".tar") {
		return errors.New("the digests are not taken")
	}
	return nil
}
