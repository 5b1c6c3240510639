package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day1-namespaces/container"
)

// A console is a user at a terminal in which a program runs.
type console struct {
	*launched
	keyboard *os.File // the master
	terminal *os.File // the slave
	screen   transcript
	seen     int // how much of the screen shows has already matched
}

func openConsole(t *testing.T) *console {
	t.Helper()
	master, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	// Close could not end a read of the master that pty returns.
	fd, err := unix.Dup(int(master.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	c := &console{keyboard: os.NewFile(uintptr(fd), master.Name()), terminal: terminal}
	t.Cleanup(c.hangUp)
	c.resize(t, 24, 80)
	go io.Copy(&c.screen, c.keyboard)
	return c
}

// onConsole runs cmd on a new console, as a terminal emulator does.
func onConsole(t *testing.T, cmd *exec.Cmd) *console {
	t.Helper()
	c := openConsole(t)
	c.launch(t, cmd)
	return c
}

func (c *console) launch(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stdin = c.terminal
	if cmd.Stdout == nil {
		cmd.Stdout = c.terminal
	}
	cmd.Stderr = c.terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	c.launched = launch(t, cmd)
}

func (c *console) hangUp() {
	c.terminal.Close()
	c.keyboard.Close()
}

func (c *console) resize(t *testing.T, rows, columns uint16) {
	t.Helper()
	if err := pty.Setsize(c.terminal, &pty.Winsize{Rows: rows, Cols: columns}); err != nil {
		t.Fatal(err)
	}
}

func (c *console) types(keys string) {
	c.t.Helper()
	if _, err := c.keyboard.WriteString(keys); err != nil {
		c.t.Fatal(err)
	}
}

// shows waits until text is on the screen, after any text that it has waited
// for before.
func (c *console) shows(text string) {
	c.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		news := c.screen.String()[c.seen:]
		if i := strings.Index(news, text); i >= 0 {
			c.seen += i + len(text)
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("not after %v: the screen shows %q; it shows %q", patience, text, news)
		}
	}
}

func (c *console) settings(t *testing.T) unix.Termios {
	t.Helper()
	settings, err := unix.IoctlGetTermios(int(c.terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *settings
}

func (c *console) wantStatus(status int) {
	c.t.Helper()
	if got := c.wait(); got.status != status {
		c.t.Errorf("status %d, want %d; the screen shows %q", got.status, status, c.screen.String())
	}
}

func TestTerminalOfItsOwn(t *testing.T) {
	for _, flags := range []string{"-ti", "-it", "-t", "-ti --init=false", "-ti --uts", "-ti --user"} {
		t.Run(flags, func(t *testing.T) {
			args := append(strings.Fields(flags), "sh", "-c", "tty; (: </dev/tty) && stty size; echo $TERM; exit 7")
			cmd := inContainer(t, args...)
			cmd.Env = append(cmd.Env, "TERM=vt100")
			c := onConsole(t, cmd)
			c.shows("vt100")
			c.wantStatus(7)
			want := regexp.MustCompile(`^(/dev/pts/\d+)\r+\n24 80\r+\nvt100`)
			if m := want.FindStringSubmatch(c.screen.String()); m == nil || m[1] == c.terminal.Name() {
				t.Errorf("the screen shows %q, ours is %s", c.screen.String(), c.terminal.Name())
			}
		})
	}
}

func TestInteractiveOnly(t *testing.T) {
	c := onConsole(t, inContainer(t, "-i", "sh", "-c", "tty; cat"))
	c.shows(c.terminal.Name() + "\r\n") // the whole line, or our echo gets mixed into it
	c.types("echoed\n\x04")
	c.shows("echoed\r\nechoed")
	c.wantStatus(0)
}

func TestTypingReachesTheCommand(t *testing.T) {
	c := onConsole(t, inContainer(t, "-ti", "sh", "-c", `echo ready; read line; echo "got <$line>"`))
	c.shows("ready")
	c.types("世界 two words\n")
	c.shows("got <世界 two words>")
	c.wantStatus(0)

	// Without -i it does not.
	c = onConsole(t, inContainer(t, "-t", "sh", "-c", `trap 'echo "nothing read"; exit 3' USR1; echo ready; read line; echo "got <$line>"`))
	c.shows("ready")
	c.types("unheard\n")
	c.shows("unheard") // our own terminal's echo
	// A signal that comes just before the shell begins to read does not
	// interrupt the read, so one may not be enough.
	poll(t, "the signal interrupts the read", func() bool {
		_ = c.cmd.Process.Signal(syscall.SIGUSR1) // fails if the one before was enough
		return strings.Contains(c.screen.String(), "nothing read")
	})
	c.wantStatus(3)
}

func TestResize(t *testing.T) {
	c := onConsole(t, inContainer(t, "-ti", "sh", "-c", "trap 'stty size' WINCH; stty size; while :; do sleep 0.01; done"))
	c.shows("24 80")
	c.resize(t, 30, 100)
	c.shows("30 100")
	c.resize(t, 31, 101)
	c.shows("31 101")
}

// Whenever the size changes during the start, the command finds out.
func TestResizeDuringStart(t *testing.T) {
	took := startTime(t)
	for i := range 10 {
		c := onConsole(t, inContainer(t, "-ti", "sh", "-c", "while :; do stty size; sleep 0.01; done"))
		time.Sleep(took * time.Duration(i) / 8)
		c.resize(t, 30, 100)
		c.shows("30 100")
		c.signal(syscall.SIGTERM)
		c.wantStatus(143)
	}
}

// shells returns the shells on this machine: the two that small systems have,
// and bash.
func shells() (all [][]string) {
	for _, shell := range [][]string{{"sh"}, {"dash"}, {"busybox", "sh"}, {"bash", "--norc"}} {
		if _, err := exec.LookPath(shell[0]); err == nil {
			all = append(all, shell)
		}
	}
	return all
}

func TestJobControl(t *testing.T) {
	for _, flags := range [][]string{{"-ti"}, {"-ti", "--uts"}, {"-ti", "--init=false"}} {
		for _, shell := range shells() {
			t.Run(strings.Join(append(flags, shell...), " "), func(t *testing.T) {
				cmd := inContainer(t, append(flags, shell...)...)
				cmd.Env = append(cmd.Env, "TERM=dumb")
				c := onConsole(t, cmd)
				c.types("PS1='rea''dy> '\n")
				c.shows("ready> ")
				pid := c.command()

				job := "sh -c 'echo run''ning; exec sleep 1000'\n"
				c.types(job)
				c.shows("running")
				c.types("\x03") // ^C interrupts the job but not the shell
				c.shows("ready> ")
				c.types("echo status=$?\n")
				c.shows("status=130")
				c.shows("ready> ")

				c.types(job)
				c.shows("running")
				c.types("\x1a") // ^Z
				c.shows("ready> ")
				c.types("jobs\n")
				c.shows("Stopped")
				c.shows("ready> ")
				c.types("fg\n")
				poll(t, "the job is in the foreground again", func() bool { return foreground(t, pid) != pid })
				c.types("\x03")
				c.shows("ready> ")
				c.types("exit 9\n")
				c.wantStatus(9)
			})
		}
	}
}

// foreground returns the foreground process group of a process's terminal.
func foreground(t *testing.T, pid int) (group int) {
	t.Helper()
	stat := procStat(pid)
	var state string
	var parent, own, session, tty int
	if _, err := fmt.Sscan(stat[strings.LastIndex(stat, ")")+1:], &state, &parent, &own, &session, &tty, &group); err != nil {
		t.Fatalf("%q: %v", stat, err)
	}
	return group
}

// A stopped command would leave its user stuck: nobody could continue it, and
// ^C would not help either, because our terminal is raw.
func TestNoStopWithoutAShell(t *testing.T) {
	c := onConsole(t, inContainer(t, "-ti", "sh", "-c", "echo ready; exec sleep 1000"))
	c.shows("ready")
	c.types("\x1a\x03")
	c.wantStatus(130)
}

// The terminal sends ^C to its whole foreground process group, but only we are
// in it.
func TestInterruptArrivesOnce(t *testing.T) {
	c := onConsole(t, inContainer(t, "sh", "-c", `
		trap 'n=$((n+1))' INT
		trap 'echo $n interrupts; exit 0' USR1
		echo ready; while [ -z "$n" ]; do sleep 0.01; done
		echo interrupted; while :; do sleep 0.01; done`))
	c.shows("ready")
	c.types("\x03")
	c.shows("interrupted")
	c.signal(syscall.SIGUSR1)
	c.shows("1 interrupts")
	c.wantStatus(0)
}

func TestInterruptWithoutInput(t *testing.T) {
	c := onConsole(t, inContainer(t, "-t", "sh", "-c", "echo ready; exec sleep 1000"))
	c.shows("ready")
	c.types("\x03")
	c.wantStatus(130)
}

func TestSettingsAreRestored(t *testing.T) {
	for name, test := range map[string]struct {
		command string
		end     func(c *console)
		status  int
	}{
		"normal end":          {"echo ready; read line; exit 4", func(c *console) { c.types("\n") }, 4},
		"command killed":      {"echo ready; read line; kill -KILL $$", func(c *console) { c.types("\n") }, 137},
		"container killed":    {"echo ready; sleep 1000", func(c *console) { syscall.Kill(c.init(), syscall.SIGKILL) }, 137},
		"program terminated":  {"echo ready; exec sleep 1000", func(c *console) { c.signal(syscall.SIGTERM) }, 143},
		"program interrupted": {"trap 'echo caught' INT; echo ready; while :; do sleep 0.01; done", interruptThrice, 137},
		"hung up":             {"echo ready; exec sleep 1000", func(c *console) { c.signal(syscall.SIGHUP) }, 129},
	} {
		t.Run(name, func(t *testing.T) {
			c := openConsole(t)
			before := c.settings(t)
			c.launch(t, inContainer(t, "-ti", "sh", "-c", test.command))
			c.shows("ready")
			if c.settings(t) == before {
				t.Error("the terminal is not raw")
			}
			test.end(c)
			c.wantStatus(test.status)
			if after := c.settings(t); after != before {
				t.Errorf("settings %+v, they were %+v", after, before)
			}
		})
	}
}

func interruptThrice(c *console) {
	for range 2 {
		c.signal(syscall.SIGINT)
		c.shows("caught")
	}
	c.signal(syscall.SIGINT)
}

func TestFailedStartLeavesTheTerminalAlone(t *testing.T) {
	c := openConsole(t)
	before := c.settings(t)
	c.launch(t, inContainer(t, "-ti", "/no/such/command"))
	c.wantStatus(127)
	if c.settings(t) != before {
		t.Error("settings have changed")
	}
	poll(t, "the screen shows the error", func() bool {
		return c.screen.String() == "error: exec \"/no/such/command\": stat /no/such/command: no such file or directory\r\n" ||
			c.screen.String() == "error: exec \"/no/such/command\": no such file or directory\r\n"
	})
}

func TestHangUpEndsTheContainer(t *testing.T) {
	for _, command := range []string{"echo ready; exec sleep 1000", "echo ready; sleep 1000; sleep 1000", "echo ready; exec cat"} {
		t.Run(command, func(t *testing.T) {
			c := onConsole(t, inContainer(t, "-ti", "sh", "-c", command))
			c.shows("ready")
			c.hangUp()
			c.wait()
		})
	}
}

func TestMuchOutput(t *testing.T) {
	const size = 1_000_000
	c := onConsole(t, inContainer(t, "-ti", "sh", "-c", fmt.Sprintf(`head -c %d /dev/zero | tr '\0' x; echo; echo end`, size)))
	c.shows("end\r\n")
	c.wantStatus(0)
	if got := strings.Count(c.screen.String(), "x"); got != size {
		t.Errorf("%d bytes arrived, want %d", got, size)
	}
}

// A slow reader, such as a pager, gets everything that was written before the
// end.
func TestSlowReader(t *testing.T) {
	const size = 1000
	read, write := fullPipe(t)
	c := openConsole(t)
	cmd := inContainer(t, "-ti", "sh", "-c", fmt.Sprintf("read line; printf %%%ds", size))
	cmd.Stdout = write
	c.launch(t, cmd)
	write.Close()
	poll(t, "the container has started", func() bool { return len(children(c.cmd.Process.Pid)) > 0 })
	c.types("\n") // until then it stays, or we might not see it
	poll(t, "the container has ended", func() bool { return len(children(c.cmd.Process.Pid)) == 0 })
	time.Sleep(3 * time.Second) // longer than the program waits for the container
	text, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(text), " "); got != size {
		t.Errorf("%d bytes arrived, want %d; the screen shows %q", got, size, c.screen.String())
	}
	c.wantStatus(0)
}

// fullPipe returns a pipe that takes no more until it is read.
func fullPipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close() })
	size, err := unix.FcntlInt(write.Fd(), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := write.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	return read, write
}

// Without a PID namespace a process can outlive the command and go on writing
// to its terminal. The program must not wait for it.
func TestTerminalStaysInUse(t *testing.T) {
	c := onConsole(t, inContainer(t, "-ti", "--uts", "sh", "-c", "trap '' HUP; while :; do echo x; sleep 0.01; done & exit 6"))
	c.wantStatus(6)
	c.shows("warning: the container's terminal is still in use: output after this is lost")
	poll(t, "what is left is gone", func() bool {
		for _, pid := range children(os.Getpid()) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		_, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		return err == syscall.ECHILD
	})
}

// If the reader of our output goes away, the container ends; we must not be
// killed while the terminal is still raw.
func TestReaderGoesAway(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := openConsole(t)
	before := c.settings(t)
	cmd := inContainer(t, "-ti", "sh", "-c", "while :; do echo x; done")
	cmd.Stdout = write
	c.launch(t, cmd)
	write.Close()
	if _, err := read.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	read.Close()
	c.wait()
	if c.settings(t) != before {
		t.Error("the terminal was left raw")
	}
}

// A session leader without a terminal gets the first one that it opens without
// O_NOCTTY. So a process whose own terminal has just gone, and which still
// knows its name, may take over the container's. The error must then say so.
func TestTerminalIsTaken(t *testing.T) {
	needRoot(t) // so that strace may follow into every namespace
	needNamespaces(t)
	needStrace(t)
	for hold := 10 * held(); hold < patience; hold *= 2 {
		if terminalIsTaken(t, hold) {
			return
		}
		t.Logf("once more: busy as the machine is, the thief came after %v", hold)
	}
	t.Error("the command had its terminal each time")
}

// terminalIsTaken holds init until a thief has taken its terminal. It returns
// false if the thief was too late.
func terminalIsTaken(t *testing.T, hold time.Duration) bool {
	t.Helper()
	c := openConsole(t)
	cmd := subject{t: t}.traced(inContainer(t, "-t", "echo", "runs"), "sethostname", fmt.Sprintf("delay_enter=%d:when=1", hold.Microseconds()))
	c.launch(t, cmd)
	var terminal string
	poll(t, "init has a terminal", func() bool {
		for _, program := range children(c.cmd.Process.Pid) {
			for _, init := range children(program) {
				if name, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", init)); isHeld(init) && strings.HasPrefix(name, "/dev/pts/") && name != c.terminal.Name() {
					terminal = name
				}
			}
		}
		select {
		case <-c.ended:
			return true
		default:
			return terminal != ""
		}
	})
	thief := exec.Command("sh", "-c", `exec 3<>"$0"; exec sleep 1000`, terminal)
	thief.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	l := launch(t, thief)
	if c.wait().status == 0 {
		l.cmd.Process.Kill()
		l.wait()
		return false
	}
	c.wantStatus(container.RuntimeError)
	l.wait() // hung up on
	c.shows(`error: make the terminal that of "echo", TIOCSCTTY: operation not permitted: it is another session's already`)
	return true
}
