package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The list of where tests run is complete: a test without a line, and a line
// without a test, are both found. The first line that fits decides.
func TestPlace(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	write("day2-x/main.go", "package main\n")
	write("day2-x/room/a_test.go", "package room\n\nfunc TestOne(t *testing.T) {}\n\nfunc TestTwo(t *testing.T) {}\n\nfunc TestMain(m *testing.M) {}\n")
	write("day2-x/steps/s_test.go", "package steps\n\nfunc TestStep(t *testing.T) {}\n")
	place := func(args ...string) (string, bool) {
		t.Helper()
		cmd := exec.Command("vm/place", args...)
		cmd.Env = append(os.Environ(), "PLACE_ROOT="+root)
		out, err := cmd.CombinedOutput()
		return string(out), err == nil
	}
	for _, test := range []struct{ list, mode, want string }{
		{"v2 day2-x* TestTwo -\n# - a comment\nv2,v1 day2-x* .* -\n", "v1", "day2-x steps\nday2-x demo\nday2-x/room TestOne\n"},
		{"v2 day2-x* TestTwo -\n- day2-x* .* -\n", "v2", "day2-x/room TestTwo\n"},
		{"v2 day2-x* TestTwo/a|b -\n- day2-x* .* -\n", "v2", "day2-x/room TestTwo a|b\n"},
		{"v2 day2-x* .* -\n", "v2-swap", ""},
	} {
		write("scripts/vm/tests", test.list)
		if out, ok := place(test.mode); !ok || out != test.want {
			t.Errorf("%q: in %s: %q, want %q", test.list, test.mode, out, test.want)
		}
		if out, ok := place("--check"); !ok || out != "" {
			t.Errorf("%q: %s", test.list, out)
		}
	}
	for list, want := range map[string]string{
		"v2 day2-x* TestTwo|steps|demo -\n":               "no line for day2-x/room TestOne",
		"v2 day2-x* .* -\n- day2-x* TestGone -\n":         "tests:2: no test fits: day2-x* TestGone",
		"v2 day2-x* .* -\n- day2-x* TestOne -\n":          "tests:2: no test fits: day2-x* TestOne",
		"v2 day2-x* Test|steps|demo -\n- day9* .* gone\n": "no line for day2-x/room TestTwo",
	} {
		write("scripts/vm/tests", list)
		if out, ok := place("--check"); ok || !strings.Contains(out, want) {
			t.Errorf("%q: %q, want an error with %q", list, out, want)
		}
	}
}
