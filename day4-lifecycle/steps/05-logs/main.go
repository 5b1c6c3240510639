// Step 5. New: a log that says of each line when it came and from where; and a reader that follows.
// Run: go build -o logs ./day4-lifecycle/steps/05-logs; ./logs keep /tmp/log sh -c 'ls / /no' & ./logs follow /tmp/log
// Still wrong: nothing ends the log's growth, and when the disk is full, lines are lost without a word.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// An entry is one line of the log, as in Docker's json-file.
type entry struct {
	Log    string    `json:"log"`
	Stream string    `json:"stream"`
	Time   time.Time `json:"time"`
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "follow" {
		follow(os.Args[2])
	} else if len(os.Args) > 3 && os.Args[1] == "keep" {
		keep(os.Args[2], os.Args[3:])
	} else {
		check(fmt.Errorf("usage: logs keep FILE COMMAND [ARG...], or logs follow FILE"))
	}
}

// keep runs a command and writes down what it says: it will be a part of step 4's shim.
func keep(name string, command []string) {
	log, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	check(err)
	check(syscall.Flock(int(log.Fd()), syscall.LOCK_EX)) // held as long as more may come
	cmd := exec.Command(command[0], command[1:]...)
	stdout, err := cmd.StdoutPipe()
	check(err)
	stderr, err := cmd.StderrPipe()
	check(err)
	check(cmd.Start())
	var both sync.WaitGroup
	both.Go(func() { record(log, "stdout", stdout) })
	both.Go(func() { record(log, "stderr", stderr) })
	both.Wait() // read to the end, and only then call Wait, which closes the pipes
	check(cmd.Wait())
}

// record writes what comes from r to log, until nobody can send any more.
func record(log io.Writer, stream string, r io.Reader) {
	lines := bufio.NewReaderSize(r, 16<<10) // a longer line becomes several entries
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			data, _ := json.Marshal(entry{string(line), stream, time.Now().UTC()})
			log.Write(append(data, '\n')) // one write: the two streams never share a line
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// follow prints what is in the log, and what is still to come.
func follow(name string) {
	log, err := os.Open(name)
	check(err)
	lines, line := bufio.NewReader(log), []byte{}
	for {
		// Ask before reading: what was written before the end is then read.
		ended := syscall.Flock(int(log.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil
		part, err := lines.ReadBytes('\n')
		line = append(line, part...)
		if err == io.EOF && ended {
			return
		} else if err == io.EOF { // perhaps in the middle of a line: keep what there is
			time.Sleep(50 * time.Millisecond)
			continue
		}
		check(err)
		show(line)
		line = nil
	}
}

func show(line []byte) {
	var e entry
	if err := json.Unmarshal(line, &e); err != nil {
		fmt.Fprintln(os.Stderr, "damaged entry:", err) // and go on: the next may be good
	} else if e.Stream == "stderr" {
		fmt.Fprint(os.Stderr, e.Log)
	} else {
		fmt.Print(e.Log)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
