package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What failed in a guest is tried once more, and nothing else is: of a test of
// which subtests were chosen only those that failed.
func TestSuiteTriesAgain(t *testing.T) {
	source, err := os.ReadFile("vm/suite-guest")
	must(t, err)
	function := regexp.MustCompile(`(?ms)^tests\(\) \{.*?^\}\n`).Find(source)
	if function == nil {
		t.Fatal("vm/suite-guest has no function tests")
	}
	for _, test := range []struct{ name, subtests, printed, again string }{
		{"passed", "", "--- PASS: TestA (0.00s)", ""},
		{"one of two", "", "--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/x (0.00s)\n--- PASS: TestB (0.00s)", "^(TestA)$"},
		{"both", "", "--- FAIL: TestA (0.00s)\n--- FAIL: TestB (0.00s)", "^(TestA|TestB)$"},
		{"of chosen subtests one", "^(day2-.*|x)$", "--- FAIL: TestA (1.00s)\n    --- PASS: TestA/day2-go (0.50s)\n    --- FAIL: TestA/x (0.50s)\n        --- FAIL: TestA/x/inner (0.50s)", "^(TestA)$/^(x)$"},
		{"signs of their own", "a", "--- FAIL: TestA (1.00s)\n    --- FAIL: TestA/a.b (0.50s)\n    --- FAIL: TestA/a_[c] (0.50s)", `^(TestA)$/^(a\.b|a_\[c\])$`},
		{"the test, and none of its chosen subtests", "^x$", "--- FAIL: TestA (1.00s)\n    --- PASS: TestA/x (0.50s)", "^(TestA)$/^x$"},
		{"it did not end", "", "=== RUN   TestA", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) {
				path := filepath.Join(dir, name)
				must(t, os.MkdirAll(filepath.Dir(path), 0o755))
				must(t, os.WriteFile(path, []byte(text), 0o755))
			}
			write("printed", test.printed+"\n")
			write("repo/scripts/cleanup.sh", "#!/bin/sh\n")
			write("bin/x.test", "#!/bin/sh\necho \"$@\" >>"+dir+"/calls\ncat "+dir+"/printed\n! grep -q -e FAIL -e RUN "+dir+"/printed\n")
			script := "log=" + dir + "/log\n" + strings.ReplaceAll(string(function), "/work/", dir+"/") + "tests x 'TestA|TestB' \"$1\" >$log\ntrue\n"
			out, err := exec.Command("sh", "-c", script, "sh", test.subtests).CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Fatalf("%v: %s", err, out)
			}
			calls, err := os.ReadFile(filepath.Join(dir, "calls"))
			must(t, err)
			var patterns []string
			for _, call := range strings.Split(strings.TrimSpace(string(calls)), "\n") {
				_, pattern, _ := strings.Cut(call, "-test.run=")
				patterns = append(patterns, pattern)
			}
			want := "^(TestA|TestB)$"
			if test.subtests != "" {
				want += "/" + test.subtests
			}
			if test.again != "" {
				want += " " + test.again
			}
			if got := strings.Join(patterns, " "); got != want {
				t.Errorf("ran %s, want %s", got, want)
			}
		})
	}
}
