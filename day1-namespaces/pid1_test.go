package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

func TestOrphansAreReaped(t *testing.T) {
	c := launch(t, inContainer(t, "sh", "-c", `
		i=0
		while [ $i -lt 1000 ]; do (: &); i=$((i+1)); done
		echo made $i; exec sleep 1000`))
	c.says("made 1000")
	poll(t, "init has no child but the command", func() bool { return len(children(c.init())) == 1 })
}

// What the test above would see if nobody reaped: sleep as PID 1 does not.
func TestOrphansAreNotReapedWithoutInit(t *testing.T) {
	c := launch(t, inContainer(t, "--init=false", "sh", "-c", "(sleep 0.1; sleep 0.1) & echo made; exec sleep 1000"))
	c.says("made")
	poll(t, "the command has a zombie", func() bool {
		all := children(c.init())
		return len(all) == 1 && strings.Contains(procStat(all[0]), ") Z ")
	})
}

// onSignal is a shell command that says ready, then runs action on a signal.
func onSignal(sig, action string) []string {
	return []string{"sh", "-c", fmt.Sprintf("trap '%s' %s; echo ready; while :; do sleep 0.01; done", action, sig)}
}

var trapped = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "TERM": syscall.SIGTERM,
	"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "ALRM": syscall.SIGALRM, "CONT": syscall.SIGCONT,
}

func TestSignalsReachTheCommand(t *testing.T) {
	for _, flags := range [][]string{{"--init=true"}, {"--init=false"}, {"--uts"}} {
		for name, sig := range trapped {
			c := launch(t, inContainer(t, append(flags, onSignal(name, "echo trapped; exit 7")...)...))
			c.says("ready")
			c.signal(sig)
			if got := c.wait(); got != (outcome{7, "ready\ntrapped\n", ""}) {
				t.Errorf("run %s, SIG%s: %+v", flags, name, got)
			}
		}
	}
}

func TestSignalEndsTheCommand(t *testing.T) {
	for _, name := range []string{"HUP", "INT", "TERM", "USR1"} {
		c := launch(t, inContainer(t, "sh", "-c", "echo ready; exec sleep 1000"))
		c.says("ready")
		c.signal(trapped[name])
		if got := c.wait(); got != (outcome{128 + int(trapped[name]), "ready\n", ""}) {
			t.Errorf("SIG%s: %+v", name, got)
		}
	}
}

// A command that is PID 1 itself gets no signal that it does not handle, so
// asking it to end does not help. The third ^C kills it.
func TestThirdInterruptKills(t *testing.T) {
	c := launch(t, inContainer(t, append([]string{"--init=false"}, onSignal("CONT", "echo alive")...)...))
	c.says("ready")
	for i := range 2 {
		c.signal(syscall.SIGTERM)
		c.signal(syscall.SIGCONT) // of two that are pending, the lower number comes first
		c.says(strings.Repeat("alive\n", i+1))
	}
	c.signal(syscall.SIGTERM)
	got := c.wait()
	if want := "warning: got 3 interrupts, killing the container\n"; got.status != 137 || got.stderr != want {
		t.Errorf("%+v, want status 137 and %q", got, want)
	}
}

func TestInterruptedTwice(t *testing.T) {
	c := launch(t, inContainer(t, onSignal("INT", `n=$((n+1)); echo caught $n; [ $n = 1 ] || exit 5`)...))
	c.says("ready")
	c.signal(syscall.SIGINT)
	c.says("caught 1")
	c.signal(syscall.SIGINT)
	if got := c.wait(); got != (outcome{5, "ready\ncaught 1\ncaught 2\n", ""}) {
		t.Errorf("%+v", got)
	}
}

func TestWhoIsPID1(t *testing.T) {
	finish(t, inContainer(t, "--init=false", "sh", "-c", "echo $$")).want(t, "1\n")
	if got := finish(t, inContainer(t, "sh", "-c", "echo $$")); got.stdout == "1\n" || got.status != 0 {
		t.Errorf("with an init, too: %+v", got)
	}
}

// nohup(1) starts a command with SIGHUP ignored.
func TestNohup(t *testing.T) {
	for _, flags := range [][]string{{"--init=true"}, {"--init=false"}} {
		c := launch(t, throughShell(inContainer(t, append(flags, onSignal("USR1", "kill -HUP $$; echo alive; exit 7")...)...), `trap "" HUP; exec "$@"`))
		c.says("ready")
		c.signal(syscall.SIGHUP)
		c.signal(syscall.SIGUSR1)
		if got := c.wait(); got != (outcome{7, "ready\nalive\n", ""}) {
			t.Errorf("run %s: %+v", flags, got)
		}
	}
}
