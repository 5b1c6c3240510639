package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"example.com/go-docker/day3-images/commit"
	"example.com/go-docker/day3-images/internal/testkit"
	"example.com/go-docker/day3-images/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// BenchmarkPull gets an image of five layers, some 200 MB unpacked, from a
// docker-registry on this machine, each time into an empty store. We and podman
// end up with layers that are ready to be stacked; skopeo only copies to an OCI
// layout, and unpacks to containers-storage.
//
//	go test -run '^$' -bench Pull -benchtime 3x
func BenchmarkPull(b *testing.B) {
	p := newPeers(b, "docker-registry", "skopeo")
	b.Cleanup(func() { unmountBelow(b, p.dir) })
	program := p.dir + "/day3-images"
	testkit.ToolOutput(b, "go", "build", "-o", program, ".")
	tag := pushBenchImage(b, p)

	ours := func(options ...string) func(string) *exec.Cmd {
		return func(to string) *exec.Cmd {
			return exec.Command(program, append([]string{"--root", to, "pull", "-q", tag}, options...)...)
		}
	}
	skopeo := func(to string) *exec.Cmd {
		return exec.Command("skopeo", "--insecure-policy", "--tmpdir", p.dir, "copy", "-q", "--src-tls-verify=false", "docker://"+tag, to)
	}
	rows := []*benchRow{
		{name: "ours, unpacked", command: ours()},
		{name: "skopeo, to an OCI layout", command: func(to string) *exec.Cmd { return skopeo("oci:" + to + ":x") }},
		{name: "skopeo to containers-storage, unpacked", command: func(to string) *exec.Cmd {
			return skopeo("containers-storage:[overlay@" + to + "+" + to + ".run]localhost/x")
		}},
		{name: "podman, unpacked: not installed"},
	}
	if _, err := exec.LookPath("podman"); err == nil {
		rows[3] = &benchRow{name: "podman, unpacked", command: func(to string) *exec.Cmd {
			return exec.Command("podman", "--root", to, "--runroot", to+".run", "--storage-driver", "overlay", "pull", "-q", "--tls-verify=false", tag)
		}}
	}
	for i, r := range rows {
		r.measureMemory(b, fmt.Sprint(p.dir, "/memory", i))
	}
	n := 0
	for b.Loop() {
		for _, i := range rand.Perm(len(rows)) {
			n++
			settle(b, p.dir)
			rows[i].run(b, fmt.Sprint(p.dir, "/", n))
		}
	}
	b.Log(benchTable(rows, rows[1], rows[2]))
	recordBench(b, measurements("pull", rows))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rows[0].median(), "s")
	b.ReportMetric(rows[0].median()/rows[1].median(), "x-skopeo-copy")
	b.ReportMetric(rows[0].median()/rows[2].median(), "x-skopeo-unpack")
	b.ReportMetric(float64(rows[0].kilobytes)/1024, "MB")
}

// pushBenchImage makes the image with our own program and pushes it with
// skopeo.
func pushBenchImage(b *testing.B, p *peers) (tag string) {
	b.Helper()
	s := emptyStore(b)
	var img *store.Image
	for _, path := range benchLayers(b, p.dir) {
		content, err := os.ReadFile(path)
		if err == nil {
			img, err = commit.Image(context.Background(), s.Store, img, func(w io.Writer) error { _, err := w.Write(content); return err }, func(*v1.ConfigFile) error { return nil }, "bench")
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	file := p.dir + "/bench.tar"
	ok(b, s, "save", "-o", file, "bench")
	tag = p.registry + "/bench:1"
	p.run("skopeo", "copy", "-q", "--dest-tls-verify=false", "oci-archive:"+file, "docker://"+tag)
	return tag
}
