package options

import (
	"slices"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/container"
)

func TestEnvironment(t *testing.T) {
	t.Setenv("TERM", "vt100")
	t.Setenv("PASSED", "on, with a comma")
	for _, test := range []struct {
		tty        bool
		image, set []string
		want       string
	}{
		{false, nil, nil, "HOSTNAME=box PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		{false, []string{"PATH=/bin", "A=image"}, nil, "PATH=/bin A=image HOSTNAME=box"},
		{true, []string{"PATH=/bin"}, nil, "PATH=/bin HOSTNAME=box TERM=vt100"},
		{false, []string{"PATH=/bin", "A=image"}, []string{"A=1"}, "PATH=/bin HOSTNAME=box A=1"},
		{false, []string{"PATH=/bin"}, []string{"A=1", "A=2"}, "PATH=/bin HOSTNAME=box A=2"},
		{false, []string{"PATH=/bin"}, []string{"A="}, "PATH=/bin HOSTNAME=box A="},
		{false, []string{"PATH=/bin"}, []string{"AB=1", "A=2"}, "PATH=/bin HOSTNAME=box AB=1 A=2"},
		{false, []string{"PATH=/bin"}, []string{"PATH="}, "HOSTNAME=box PATH="},
		{false, []string{"PATH=/bin"}, []string{"PASSED"}, "PATH=/bin HOSTNAME=box PASSED=on, with a comma"},
		{false, []string{"PATH=/bin"}, []string{"NOT_SET"}, "PATH=/bin HOSTNAME=box"},
	} {
		got, err := environment(&container.Container{Hostname: "box", TTY: test.tty}, test.image, test.set)
		if err != nil || strings.Join(got, " ") != test.want {
			t.Errorf("%q, %q: %q, %v, want %q", test.image, test.set, got, err, test.want)
		}
	}
}

func FuzzEnvironment(f *testing.F) {
	f.Add("A=1", "A=2")
	f.Add("PATH=", "HOSTNAME")
	f.Add("=", "\x00")
	f.Fuzz(func(t *testing.T, first, second string) {
		env, err := environment(&container.Container{}, []string{"A=image"}, []string{first, second})
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
