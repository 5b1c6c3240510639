package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/go-docker/scripts/internal/ours"
	"golang.org/x/sys/unix"
)

// A page's sleep of a few seconds stands for "when what was started has got that far". That takes as long as the page
// says on a machine that does nothing else. Ours tests other things meanwhile, so here a sleep takes a second more, and
// then as long as something that the page has started still wants the processor or the disk.

// A bed is a fifo: who reads it waits until our descendants are at rest.
type bed struct {
	dir, fifo string
	done      chan struct{}
	ended     sync.WaitGroup
}

func newBed() (*bed, error) {
	dir, err := os.MkdirTemp("", "book-rest.")
	if err != nil {
		return nil, err
	}
	b := &bed{dir: dir, fifo: filepath.Join(dir, "fifo"), done: make(chan struct{})}
	if err := unix.Mkfifo(b.fifo, 0o600); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("make %s: %w", b.fifo, err)
	}
	b.ended.Go(b.watch)
	return b, nil
}

func (b *bed) watch() {
	for {
		select {
		case <-b.done:
			return
		case <-time.After(20 * time.Millisecond):
		}
		// An error, ENXIO, says that nobody reads. fifo(7)
		if w, err := os.OpenFile(b.fifo, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
			for end := time.Now().Add(longestRest); !atRest() && time.Now().Before(end); {
			}
			w.Close()
		}
	}
}

func (b *bed) close() {
	close(b.done)
	b.ended.Wait()
	_ = os.RemoveAll(b.dir)
}

// longestRest: a page may have started something that never rests.
const longestRest = 30 * time.Second

// atRest looks for a while, a tenth of a second, at the threads below us.
func atRest() bool {
	for range 5 {
		below, err := ours.Descendants()
		if err != nil || busy(below) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return true
}

// busy tells whether a thread runs or wants to, waits for the disk, or is held by a tracer. proc_pid_stat(5)
func busy(processes []ours.Process) bool {
	for _, p := range processes {
		stats, _ := filepath.Glob("/proc/" + strconv.Itoa(p.PID) + "/task/*/stat") // the pattern is well-formed
		for _, path := range stats {
			stat, _ := os.ReadFile(path) // it may have ended
			if state := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])); len(state) > 0 && strings.Contains("RDt", state[0]) {
				return true
			}
		}
	}
	return false
}

var pageSleeps = regexp.MustCompile(`(^|[;&] )sleep (\d(?:\.\d+)?)(;|$)`)

// patient makes the sleeps in a line longer. Another command may follow them in quotes, so the fifo's name has none.
func (b *bed) patient(line string) string {
	return pageSleeps.ReplaceAllStringFunc(line, func(text string) string {
		m := pageSleeps.FindStringSubmatch(text)
		seconds, _ := strconv.ParseFloat(m[2], 64) // the pattern wants a number
		return m[1] + "sleep " + strconv.FormatFloat(seconds+1, 'f', -1, 64) + "; cat " + b.fifo + m[3]
	})
}
