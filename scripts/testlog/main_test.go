package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What go test itself prints is the input: if that changes, this says so.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":           "module example.com/go-docker/x\ngo 1.25\n",
		"good/x_test.go":   `package x; import "testing"; func TestGood(t *testing.T) { t.Run("sub", func(t *testing.T) { t.Log("not to be seen") }) }; func TestSkips(t *testing.T) { t.Skip("needs: a reason") }`,
		"bad/x_test.go":    `package x; import "testing"; func TestBad(t *testing.T) { t.Run("sub", func(t *testing.T) { t.Error("to be seen") }) }`,
		"broken/x_test.go": `package x; var _ = nonsense`,
		"ends/x_test.go":   `package x; import ("os"; "testing"); func TestMain(*testing.M) { os.Exit(3) }`,
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	record := filepath.Join(dir, "record")
	test := func(packages string) (string, error) {
		cmd := exec.Command("go", "test", "-json", packages)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "TEST_WHERE=")
		text, _ := cmd.Output() // fails, as it should
		var out strings.Builder
		err := follow(strings.NewReader(string(text)), &out, record)
		return out.String(), err
	}
	out, err := test("./good")
	if err != nil || !strings.HasPrefix(out, "ok  \texample.com/go-docker/x/good\t") || strings.Contains(out, "not to be seen") {
		t.Errorf("%v: %q", err, out)
	}
	out, err = test("./...")
	if err == nil || !strings.Contains(out, "to be seen") || !strings.Contains(out, "nonsense") || !strings.Contains(out, "FAIL\texample.com/go-docker/x/ends") {
		t.Errorf("%v: %q", err, out)
	}
	var line strings.Builder
	if err := sum(&line, "75", record); err != nil {
		t.Fatal(err)
	}
	want := "2 passed, 3 failed, 2 skipped (2: needs: a reason): x/bad TestBad, x/broken (the package), x/ends (the package), in 1 min 15 s\n"
	if line.String() != want {
		t.Errorf("got  %s want %s", line.String(), want)
	}
	line.Reset()
	if err := os.WriteFile(record, []byte("here\ta\tTestA\tPASS\t1.50\t\nv2\tb\tTestB\tPASS\t30\nhere\tc\tTestC\tSKIP\t2\tx\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := slowest(&line, "2", record); err != nil || line.String() != "    30.0 s  v2       b TestB\n     2.0 s  here     c TestC\n" {
		t.Errorf("%v: %q", err, line.String())
	}
}
