package main

import (
	"slices"
	"strings"
	"testing"
)

func TestEnvironment(t *testing.T) {
	t.Setenv("PATH", "/bin")
	t.Setenv("HOME", "/home/me")
	t.Setenv("TERM", "vt100")
	t.Setenv("PASSED", "on, with a comma")
	for _, test := range []struct {
		tty  bool
		set  []string
		want string
	}{
		{false, nil, "PATH=/bin HOME=/home/me HOSTNAME=box"},
		{true, nil, "PATH=/bin HOME=/home/me HOSTNAME=box TERM=vt100"},
		{false, []string{"A=1"}, "PATH=/bin HOME=/home/me HOSTNAME=box A=1"},
		{false, []string{"A=1", "A=2"}, "PATH=/bin HOME=/home/me HOSTNAME=box A=2"},
		{false, []string{"A="}, "PATH=/bin HOME=/home/me HOSTNAME=box A="},
		{false, []string{"AB=1", "A=2"}, "PATH=/bin HOME=/home/me HOSTNAME=box AB=1 A=2"},
		{false, []string{"HOME=/", "PATH="}, "HOSTNAME=box HOME=/ PATH="},
		{false, []string{"PASSED"}, "PATH=/bin HOME=/home/me HOSTNAME=box PASSED=on, with a comma"},
		{false, []string{"NOT_SET"}, "PATH=/bin HOME=/home/me HOSTNAME=box"},
	} {
		got, err := environment(&Container{Hostname: "box", TTY: test.tty}, test.set)
		if err != nil || strings.Join(got, " ") != test.want {
			t.Errorf("%q: %q, %v, want %q", test.set, got, err, test.want)
		}
	}
}

func FuzzEnvironment(f *testing.F) {
	f.Add("A=1", "A=2")
	f.Add("PATH=", "HOSTNAME")
	f.Add("=", "\x00")
	f.Fuzz(func(t *testing.T, first, second string) {
		env, err := environment(&Container{}, []string{first, second})
		if bad := !validEnv(first) || !validEnv(second); bad != (err != nil) {
			t.Fatalf("%q, %q: %v", first, second, err)
		}
		names := map[string]bool{}
		for _, e := range env {
			name, _, ok := strings.Cut(e, "=")
			if !ok || name == "" || names[name] {
				t.Errorf("%q, %q: %q in %q", first, second, e, env)
			}
			names[name] = true
		}
		if err == nil && strings.Contains(second, "=") && !slices.Contains(env, second) {
			t.Errorf("%q, %q: the second is not in %q", first, second, env)
		}
	})
}

func validEnv(e string) bool {
	return e != "" && !strings.HasPrefix(e, "=") && !strings.Contains(e, "\x00")
}

func TestCommandGetsThatEnvironmentOnly(t *testing.T) {
	cmd := container(t, "--hostname", "box", "-e", "A=1,2", "-e", "B=two words", "-e", "PASSED", "-e", "NOT_SET", "env")
	cmd.Env = append(cmd.Env, "PASSED=x", "SECRET=x")
	got := finish(t, cmd)
	lines := slices.DeleteFunc(strings.Split(got.stdout, "\n"), func(line string) bool {
		return strings.HasPrefix(line, "PATH=") || strings.HasPrefix(line, "HOME=")
	})
	got.stdout = strings.Join(lines, "\n")
	got.want(t, "HOSTNAME=box\nA=1,2\nB=two words\nPASSED=x\n")
}

func TestCommandIsFoundInItsOwnPath(t *testing.T) {
	got := finish(t, container(t, "-e", "PATH=/no/such/directory", "sh"))
	if got.status != exitNotFound {
		t.Errorf("%+v", got)
	}
}
