package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"example.com/go-docker/day1-namespaces/container"
)

// What the command finds in its container.

func TestHostName(t *testing.T) {
	ours, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	finish(t, inContainer(t, "--hostname", "box", "hostname")).want(t, "box\n")
	finish(t, inContainer(t, "--hostname", strings.Repeat("x", 64), "hostname")).want(t, strings.Repeat("x", 64)+"\n")
	finish(t, inContainer(t, "--hostname", "box", "sh", "-c", "hostname other; hostname")).want(t, "other\n")
	if got := finish(t, inContainer(t, "hostname")); !regexp.MustCompile(`^[0-9a-f]{12}\n$`).MatchString(got.stdout) {
		t.Errorf("the default: %+v", got)
	}
	if now, err := os.Hostname(); now != ours || err != nil {
		t.Errorf("the host was called %q and is called %q now (%v)", ours, now, err)
	}
}

// Descriptor 3 is whatever happens to be there, but not a parent's pipe.
func TestInitByHandRefuses(t *testing.T) {
	for name, redirect := range map[string]string{
		"nothing":      "3<&- 4<&-",
		"an empty one": "3</dev/null 4>/dev/null",
		"garbage":      "3</proc/version 4>/dev/null",
		"no container": "3<<END 4>/dev/null\n{}\nEND",
	} {
		got := finish(t, throughShell(program(t, "init"), `exec "$@" `+redirect))
		if got.status != container.RuntimeError {
			t.Errorf("%s: %+v, want status %d", name, got, container.RuntimeError)
		}
		got.wantOneError(t, "init is started by run, not by hand")
	}
}

func TestWorkingDirectory(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	finish(t, inContainer(t, "pwd")).want(t, here+"\n")
}

func TestProcShowsTheContainerOnly(t *testing.T) {
	got := finish(t, inContainer(t, "sh", "-c", `echo /proc/[0-9]*; echo "/proc/1 /proc/$$"`))
	seen, want, _ := strings.Cut(got.stdout, "\n")
	if seen+"\n" != want {
		t.Errorf("the command sees %q, want %q: init and itself (%+v)", seen, want, got)
	}
}

func TestNetworkIsLoopbackOnly(t *testing.T) {
	got := finish(t, inContainer(t, "cat", "/proc/net/dev"))
	if devices := regexp.MustCompile(`(?m)^ *(\S+):`).FindAllStringSubmatch(got.stdout, -1); len(devices) != 1 || devices[0][1] != "lo" {
		t.Errorf("devices %q in %+v, want lo", devices, got)
	}
	// A device that is down has no routes, and lo is down only in a new
	// namespace.
	got = finish(t, inContainer(t, "cat", "/proc/net/fib_trie"))
	if !strings.Contains(got.stdout, "127.0.0.1") {
		t.Errorf("lo is down: %+v", got)
	}
}

func TestStandardInput(t *testing.T) {
	const text = "one\ntwo\n"
	run := func(args ...string) outcome {
		cmd := inContainer(t, args...)
		cmd.Stdin = strings.NewReader(text)
		return finish(t, cmd)
	}
	run("-i", "cat").want(t, text)
	run("cat").want(t, "")

	// Without -i standard input is not the container's, so the next reader gets
	// all of it.
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if _, err := write.WriteString(text); err != nil {
		t.Fatal(err)
	}
	write.Close()
	cmd := inContainer(t, "cat")
	cmd.Stdin = read
	finish(t, cmd).want(t, "")
	rest := make([]byte, 100)
	if n, err := read.Read(rest); string(rest[:n]) != text {
		t.Errorf("%q is left of standard input, want %q (%v)", rest[:n], text, err)
	}
}

func TestTTYNeedsOne(t *testing.T) {
	cmd := inContainer(t, "-ti", "cat")
	cmd.Stdin = strings.NewReader("as is\n")
	got := finish(t, cmd)
	want := outcome{0, "as is\n", "warning: -t ignored: standard input is not a terminal\n"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestContainerInContainer(t *testing.T) {
	nested := []string{"/proc/self/exe", "run"}
	args := append(nested, append(nested, "--hostname", "third", "hostname")...)
	finish(t, inContainer(t, args...)).want(t, "third\n")
}
