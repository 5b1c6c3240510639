package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	"golang.org/x/sys/unix"
)

const (
	columns = 100 // of the terminal: what programs that look at it go by
	rows    = 40
)

// A terminal is a bash that sits at a pseudo-terminal, as a reader does.
type terminal struct {
	cmd    *exec.Cmd
	master *os.File
	ps1    []byte // what bash prints when it waits for a command,
	ps2    []byte // and for more of one: nothing else prints these

	mu      sync.Mutex
	buffer  []byte // printed and not yet taken
	changed time.Time
	ended   bool
}

var errTimeLimit = errors.New("not finished within the time limit")

// openTerminal starts a bash without the user's own settings.
func openTerminal(dir string, env []string) (*terminal, error) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		return nil, fmt.Errorf("the console blocks are for bash: %w", err)
	}
	nonce := make([]byte, 8)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	word := hex.EncodeToString(nonce)
	t := &terminal{ps1: []byte("\x1e" + word + "\x1e"), ps2: []byte("\x1d" + word + "\x1d")}
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	defer slave.Close()
	t.master = master
	if err := pty.Setsize(master, &pty.Winsize{Rows: rows, Cols: columns}); err != nil {
		return nil, fmt.Errorf("set the size of the terminal: %w", err)
	}
	// Without the echo all that arrives is output; what was typed we know. And
	// the kernel must not flush after ^C: the new prompt may be there already.
	settings, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err == nil {
		settings.Lflag &^= unix.ECHO
		settings.Lflag |= unix.NOFLSH
		err = unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, settings)
	}
	if err != nil {
		return nil, fmt.Errorf("switch the terminal's echo off: %w", err)
	}
	t.cmd = exec.Command(bash, "--norc", "--noprofile", "--noediting", "-i")
	t.cmd.Dir, t.cmd.Env = dir, env
	t.cmd.Stdin, t.cmd.Stdout, t.cmd.Stderr = slave, slave, slave
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start bash: %w", err)
	}
	go t.read()
	setup := fmt.Sprintf("unset HISTFILE; PS1=$'\\036'%s$'\\036' PS2=$'\\035'%s$'\\035'\n", word, word)
	if err := t.write(setup); err != nil {
		return nil, err
	}
	if _, err := t.until(time.Minute, t.atPrompt); err != nil {
		return nil, fmt.Errorf("wait for bash's prompt: %w", err)
	}
	return t, nil
}

func (t *terminal) read() {
	p := make([]byte, 32<<10)
	for {
		n, err := t.master.Read(p)
		t.mu.Lock()
		t.buffer = append(t.buffer, p[:n]...)
		t.changed = time.Now()
		t.ended = err != nil // EIO: nobody has the terminal open any more
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// until waits for a condition on what has been printed, and takes it.
func (t *terminal) until(limit time.Duration, condition func(printed []byte, quiet time.Duration) bool) ([]byte, error) {
	const poll = 5 * time.Millisecond
	for deadline := time.Now().Add(limit); ; time.Sleep(poll) {
		t.mu.Lock()
		good := condition(t.buffer, time.Since(t.changed))
		late := time.Now().After(deadline)
		ended := t.ended
		if good || late || ended {
			printed := t.buffer
			t.buffer = nil
			t.mu.Unlock()
			switch {
			case good:
				return printed, nil
			case ended:
				return printed, errors.New("bash has ended")
			}
			return printed, errTimeLimit
		}
		t.mu.Unlock()
	}
}

func (t *terminal) atPrompt(printed []byte, _ time.Duration) bool {
	return bytes.HasSuffix(printed, t.ps1)
}

var escapes = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][0-9A-Z]|[=>])`)

// lastLine is the unfinished line at which a prompt would stand.
func lastLine(printed []byte) string {
	s := escapes.ReplaceAllString(string(printed), "")
	return s[strings.LastIndexAny(s, "\r\n")+1:]
}

// settle is how long a terminal must have been quiet before its last line is
// taken for a prompt.
const settle = 80 * time.Millisecond

// starting is what a command gets that says nothing before the next key is pressed: nothing else shows that it is ready.
const starting = 2 * time.Second

// atInner waits for the prompt of a shell that runs inside the command.
func atInner(prompt string) func([]byte, time.Duration) bool {
	return func(printed []byte, quiet time.Duration) bool {
		return quiet >= settle && lastLine(printed) == prompt
	}
}

// echoes says whether what is typed now comes back: our own terminal does not
// echo, but a container's terminal does, and then ours is raw.
func (t *terminal) echoes() bool {
	settings, err := unix.IoctlGetTermios(int(t.master.Fd()), unix.TCGETS)
	return err == nil && settings.Lflag&unix.ICANON == 0
}

// write types. From now on only new output counts as one.
func (t *terminal) write(keys string) error {
	t.mu.Lock()
	t.changed = time.Now()
	t.mu.Unlock()
	if _, err := t.master.WriteString(keys); err != nil {
		return fmt.Errorf("type into the terminal: %w", err)
	}
	return nil
}

// enter types a line into a shell inside the command and takes what follows.
func (t *terminal) enter(line string, limit time.Duration, condition func([]byte, time.Duration) bool) ([]byte, error) {
	echo := t.echoes()
	if err := t.write(line + "\n"); err != nil {
		return nil, err
	}
	printed, err := t.until(limit, func(printed []byte, quiet time.Duration) bool {
		if echo { // the prompt before the echo has been taken, but be sure
			_, after, found := bytes.Cut(printed, []byte("\n"))
			return found && condition(after, quiet)
		}
		return condition(printed, quiet)
	})
	if echo {
		if first, rest, found := bytes.Cut(printed, []byte("\n")); found &&
			strings.TrimRight(escapes.ReplaceAllString(string(first), ""), "\r") == line {
			printed = rest
		}
	}
	return printed, err
}

// close hangs up. What still ran there gets SIGHUP.
func (t *terminal) close() {
	_ = t.cmd.Process.Signal(syscall.SIGHUP)
	defer t.master.Close()
	done := make(chan struct{})
	go func() { _ = t.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = t.cmd.Process.Kill()
		<-done
	}
}

// shown is what is left on the screen of what was printed.
func shown(printed []byte) []string {
	s := strings.ReplaceAll(string(printed), "\r\n", "\n")
	if strings.ContainsAny(s, "\x1b\b\r\t") {
		s = emulate(string(printed))
	}
	s = strings.TrimSuffix(s, "\n")
	if s == "" {
		return nil
	}
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \r")
	}
	return lines
}

// emulate shows the output on a terminal that is wider than programs believe, so
// that a long line stays one, and so long that nothing scrolls away.
func emulate(printed string) string {
	screen := vt10x.New(vt10x.WithSize(400, strings.Count(printed, "\n")+2))
	_, _ = screen.Write([]byte(printed))
	lines := strings.Split(strings.ReplaceAll(screen.String(), "\x00", " "), "\n")
	end := screen.Cursor().Y + 1
	for end < len(lines) && strings.TrimSpace(lines[end]) != "" {
		end++
	}
	return strings.Join(lines[:end], "\n")
}
