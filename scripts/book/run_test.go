package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func console(lines ...string) string {
	return "# Page\n\n```console\n" + strings.Join(lines, "\n") + "\n```\n"
}

func TestRunFixture(t *testing.T) {
	for _, c := range []struct {
		name, page string
		want       []string
	}{
		{"right", console("$ echo hello", "hello"), nil},
		{"a changed line of output", console("$ echo hello", "hullo"), []string{"5: the page: hullo\n  the run:  hello"}},
		{"a line too many", console("$ echo hello", "hello", "again"), []string{"6: the page: again"}},
		{"a line too few", console("$ printf '%s\\n' a b", "a"), []string{"5: the run:  b"}},
		{"stderr too", console("$ ls /missing; echo $?", "ls: cannot access '/missing': No such file or directory", "2"), nil},
		{"stderr in its place", console("$ echo a; echo b >&2; echo c", "a", "b", "c"), nil},
		{"one bash for all", console("$ cd /; a=1", "$ pwd", "/", "$ echo $a", "1"), nil},
		{"continued", console("$ cat <<END", "> a", "> b", "> END", "a", "b"), nil},
		{"not continued", console("$ echo a", "> echo b", "a"), []string{"4: complete before its last line"}},
		{"equal PIDs", console("$ echo $$ $$", "100 100"), nil},
		{"PIDs that differ", console("$ echo $$ $$", "100 101"), []string{"5: the page: 100 101"}},
		{"a PID over two commands", console("$ echo $$", "100", "$ echo $$", "101"), []string{"7: the page: 101"}},
		{"a namespace that lives", console("$ readlink /proc/self/ns/net", "net:[100]", "$ readlink /proc/self/ns/net", "net:[101]"), []string{"7: the page: net:[101]"}},
		{"dots", console("$ seq 5", "1", "...", "5"), nil},
		{"an inner shell", console("$ PS1='# ' sh", "# echo $PPID-", "# x=1", "# echo $x", "1", "# exit 3", "$ echo $?", "3"), []string{"5: nothing more"}},
		{"more for an inner shell", console("$ PS1='# ' sh", "# if true", "> then echo yes", "> fi", "yes", "# exit"), nil},
		{"an inner shell that was left", console("$ PS1='# ' sh", "# exit", "# pwd"), []string{"5: it has ended"}},
		{"a key", console("$ sh -c 'trap \"echo; echo caught; exit\" INT; while :; do sleep 0.1; done'", "^C", "caught"), nil},
		{"redrawn", console(`$ printf 'one\ntwo\n\033[2A\033[Jthree\n'`, "three"), nil},
		{"carriage return", console(`$ printf '10%%\r20%%\n'`, "20%"), nil},
		{"the machine's name", console("$ hostname", "vm"), nil},
		{"the repository", console("$ pwd", "/root/go-docker"), nil},
		{"a job in the background", console("$ sleep 60 &", "[1] 4711", "$ kill $!; wait $!", "[1]+  Terminated              sleep 60"), nil},
		{"a process left", console("$ (setsid sleep 61 &)"), []string{"4: left behind at the end of the page: process"}},
		{"a file left", console("$ echo hello >file"), []string{"4: left behind at the end of the page: file"}},
		{"bash left", console("$ exit", "exit"), []string{"4: bash has ended", "4: has not ended"}},
		{
			"a second terminal", "```console\n$ PS1='# ' sh\n# x=1\n# \n```\n\n```console second\n$ echo \"[$x]\"\n[]\n```\n\n```console\n# echo $x\n1\n# exit\n```\n", nil,
		},
		{
			"an inner shell that stays, without its prompt", "```console\n$ PS1='# ' sh\n# echo a\na\n```\n\n```console\n# exit\n```\n", nil,
		},
		{
			"a command that goes on, and a key", "```console\n$ cat\n```\n\n```console second\n$ echo hello\nhello\n```\n\n```console\n^C\n$ echo $?\n130\n```\n", nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := fixture(t, c.page)
			expect(t, runPage(t, filepath.Dir(p.path), p), c.want...)
		})
	}
}

// A sleep that stands for "a moment later" is longer here than on the page; others are as they are.
func TestPatient(t *testing.T) {
	for line, want := range map[string]string{
		"sleep 0.2":                              "sleep 1.2; cat FIFO",
		"sleep 1; kill $!; wait $!":              "sleep 2; cat FIFO; kill $!; wait $!",
		"/tmp/nat & sleep 1; kill $!; sleep 0.2": "/tmp/nat & sleep 2; cat FIFO; kill $!; sleep 1.2; cat FIFO",
		"sleep 60 &":                             "sleep 60 &",
		"sh -c 'hostname box; sleep 60; true'":   "sh -c 'hostname box; sleep 60; true'",
		"sh -c 'exec sleep 3'":                   "sh -c 'exec sleep 3'",
		"until [ -s pid ]; do sleep 0.1; done":   "until [ -s pid ]; do sleep 0.1; done",
	} {
		if got := (&bed{fifo: "FIFO"}).patient(line); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

// And it is not over before all that was started has come to rest.
func TestRest(t *testing.T) {
	p := fixture(t, console("$ (sh -c 'timeout 3 sh -c \"while :; do :; done\"; echo done >f' &)", "$ sleep 0.1; cat f", "done", "$ rm f"))
	expect(t, runPage(t, filepath.Dir(p.path), p))
}

func TestTimeLimit(t *testing.T) {
	p := fixture(t, console("$ sleep 100"))
	failures, _ := runWith(t, filepath.Dir(p.path), p, func(r *runner) { r.alone, r.limit = false, time.Second })
	expect(t, failures, "4: not finished within the time limit", "4: has not ended by the end of the page")
}

// A container's record is found, even if others on this machine are making
// containers at the same time.
func TestLeftBehindOnTheMachine(t *testing.T) {
	name := filepath.Join(os.TempDir(), fmt.Sprintf("go-docker-left-%d", os.Getpid())) // not that of a run that was killed
	p := fixture(t, console("$ touch "+name+".$$"))
	failures, _ := runWith(t, filepath.Dir(p.path), p, func(*runner) {})
	left, _ := filepath.Glob(name + ".*")
	if len(left) != 1 {
		t.Fatalf("made %q", left)
	}
	defer os.Remove(left[0])
	if !slices.ContainsFunc(failures, func(f failure) bool { return strings.HasSuffix(f.what, left[0]) }) {
		t.Errorf("%s is not among %v", left[0], failures)
	}
}

func TestBlocksOfTheOtherKernel(t *testing.T) {
	kernel, err := memoryKernel()
	if err != nil {
		t.Fatal(err)
	}
	other := map[string]string{"v1": "v2", "v2": "v1"}[kernel]
	p := fixture(t, "```console "+other+"\n$ echo a\nb\n```\n\n```console "+kernel+"\n$ echo a\nb\n```\n")
	expect(t, runPage(t, filepath.Dir(p.path), p), "8: the page: b")
}

func TestNotation(t *testing.T) {
	for _, c := range []struct{ name, page, want string }{
		{"an unknown word", "```console no-check\n$ true\n```\n", "page.md:1: console no-check"},
		{"no command", "text\n\n```console\nhello\n```\n", "page.md:4: no command before this"},
		{"nothing", "```console\n```\n", "page.md:1: empty"},
		{"a prompt for nothing", "```console\n$ sh\n# \n# pwd\n```\n", "page.md:3: nothing is typed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := fixture(t, c.page).blocks()
			if err == nil || !strings.Contains(err.String(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestUpdate(t *testing.T) {
	root := t.TempDir()
	before := "# Page\n\n```console\n$ echo $$ right\n100 right\n$ echo $$ wrong\n$ seq 9\n0\n...\n8\n9\n$ echo a; echo b\nb\n```\n\nMore.\n"
	after := "# Page\n\n```console\n$ echo $$ right\n100 right\n$ echo $$ wrong\n100 wrong\n$ seq 9\n1\n...\n8\n9\n$ echo a; echo b\na\nb\n```\n\nMore.\n"
	var paths []string
	for _, l := range languages {
		path := filepath.Join(root, "docs", l.Dir, "page.md")
		paths = append(paths, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A translation has other lines around the same code.
	other := strings.Replace(before, "# Page\n", "# 頁\n\n這一頁\n", 1)
	if err := os.WriteFile(paths[1], []byte(other), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := readPage(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{root: root}
	failures, changes := runWith(t, root, p, func(r *runner) { r.alone, r.update = false, true })
	expect(t, failures)
	if err := r.apply(p, changes); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{after, strings.Replace(after, "# Page\n", "# 頁\n\n這一頁\n", 1)} {
		if got, err := os.ReadFile(paths[i]); err != nil || string(got) != want {
			t.Errorf("%s is now, with error %v:\n%s\nwant:\n%s", paths[i], err, got, want)
		}
	}
	p, err = readPage(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	expect(t, runPage(t, root, p))
}
