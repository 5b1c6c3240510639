package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"
)

// BenchmarkAtOnce starts many containers at the same time, each with a command
// of its own as in BenchmarkStart, and measures the time until the last one has
// ended and is removed.
//
//	go test -run '^$' -bench AtOnce -benchtime 5x
func BenchmarkAtOnce(b *testing.B) {
	needRoot(b)
	dir := benchDir(b)
	all := startRows(b, dir)
	n := 0
	for _, count := range []int{1, 10, 50, 200} {
		if count > 10 && testing.Short() {
			break
		}
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			var rows []*benchRow
			for _, r := range []*benchRow{all[0], all[3], all[4]} { // ours, runc, crun
				rows = append(rows, &benchRow{name: r.name, command: r.command})
			}
			for b.Loop() {
				for _, i := range rand.Perm(len(rows)) {
					n++
					time.Sleep(40 * time.Millisecond)
					rows[i].runAtOnce(b, count, fmt.Sprintf("once%d.", n))
				}
			}
			b.Log(benchTable(rows, rows[1], rows[2]))
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(1000*rows[0].median()/float64(count), "ms/container")
			recordBench(b, measurements(fmt.Sprintf("at once %03d", count), rows))
		})
	}
}

func (r *benchRow) runAtOnce(b *testing.B, count int, name string) {
	b.Helper()
	if r.command == nil {
		return
	}
	var all []*exec.Cmd
	said := make([]bytes.Buffer, count)
	started := time.Now()
	for i := range count {
		cmd := r.command(fmt.Sprint(name, i))
		cmd.Stderr = &said[i]
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		all = append(all, cmd)
	}
	for i, cmd := range all {
		if err := cmd.Wait(); err != nil {
			b.Errorf("%s, container %d of %d: %v: %s", r.name, i, count, err, said[i].String())
		}
	}
	r.took = append(r.took, time.Since(started).Seconds())
}
