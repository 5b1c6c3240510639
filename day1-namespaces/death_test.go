package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// procStat returns /proc/PID/stat, or "" if there is no such process.
func procStat(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return string(text)
}

func isRunning(pid int) bool {
	stat := procStat(pid)
	return stat != "" && !strings.Contains(stat, ") Z ")
}

// Nobody can catch SIGKILL: only the kernel can take the container down.
func TestParentIsKilled(t *testing.T) {
	for _, flags := range []string{"", "--init=false", "--uts", "--uts --init=false", "--user --uts", "--pid", "-i"} {
		t.Run(flags, func(t *testing.T) {
			args := append(strings.Fields(flags), "sh", "-c", "trap '' TERM HUP INT; echo ready; exec sleep 1000")
			c := launch(t, inContainer(t, args...))
			c.says("ready")
			init, command := c.init(), c.command()
			c.signal(syscall.SIGKILL)
			poll(t, "the container is gone", func() bool { return !isRunning(init) && !isRunning(command) })
		})
	}
}

// Init dies with the thread that made it, so the command must, too.
func TestInitIsKilled(t *testing.T) {
	for _, flags := range []string{"--pid", "--uts"} {
		t.Run(flags, func(t *testing.T) {
			c := launch(t, inContainer(t, flags, "sh", "-c", "echo ready; exec sleep 1000"))
			c.says("ready")
			init, command := c.init(), c.command()
			if err := syscall.Kill(init, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if got := c.wait(); got.status != 137 {
				t.Errorf("%+v, want status 137", got)
			}
			poll(t, "the command is gone", func() bool { return !isRunning(command) })
		})
	}
}

// startTime returns how long this machine takes to run a container: the median
// of three, because anything may hold up one.
func startTime(t *testing.T) time.Duration {
	t.Helper()
	finish(t, inContainer(t, "true")) // warms the caches
	var took []time.Duration
	for range 3 {
		start := time.Now()
		finish(t, inContainer(t, "true")).want(t, "")
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[1]
}

// during sends sig to n containers, at moments spread over their whole start.
func during(t *testing.T, n int, sig syscall.Signal, command []string, check func(after time.Duration, got outcome)) {
	t.Helper()
	took := startTime(t)
	for i := range n {
		after := took * 5 / 4 * time.Duration(i) / time.Duration(n)
		c := launch(t, inContainer(t, command...))
		time.Sleep(after)
		c.cmd.Process.Signal(sig) // fails if it has already ended
		check(after, c.wait())
		noProcesses(t)
	}
}

func TestSignalDuringStart(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			during(t, 30, sig, []string{"sleep", "1000"}, func(after time.Duration, got outcome) {
				// -1: it was killed by SIGKILL, or before it could catch
				// anything.
				if got.status != -1 && got.status != 128+int(sig) || got.stderr != "" && sig != syscall.SIGKILL {
					t.Errorf("after %v: %+v", after, got)
				}
			})
		})
	}
}

// SIGCONT, which a shell sends for fg, does not ask anything to end.
func TestContinuedDuringStart(t *testing.T) {
	during(t, 15, syscall.SIGCONT, []string{"echo", "done"}, func(after time.Duration, got outcome) {
		if got != (outcome{0, "done\n", ""}) {
			t.Errorf("after %v: %+v", after, got)
		}
	})
}
