// Check looks at what your solution of an exercise has done to the kernel's state.
//
//	check --list                    the exercises
//	check day2 3                    your work on exercise 3 of day 2
//	check day2                      all of day 2
//	check --hint 1 day2 3           the first hint; there are two or three
//	check --solution day2 3         the solution, from the repository
//	check --start day2 3            the starting state
//	check --reset day2 3            begin again; your work is renamed, not lost
//	check --json [day2 [3]]         what has been begun, as JSON, for the teacher
//	check --class DIR               a folder of such files on one screen
//
// The first check of an exercise copies its starting state to work/, which
// version control ignores; change it there. Your program runs in namespaces
// and cgroups of its own, so a mistake stays inside: see sandbox.go. Nothing is
// compared with the text you typed. The answer is in /proc, in the cgroup's
// files and in the mount table.
//
// Exit status: 0 all passed; 1 not yet; 125 could not be checked.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	exitNotYet = 1
	exitCannot = 125
)

func main() {
	if status, is := internal(os.Args); is {
		os.Exit(status)
	}
	passed, err := run(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(exitCannot)
	case !passed:
		os.Exit(exitNotYet)
	}
}

type options struct {
	list, start, solution, reset, json bool
	hint                               int
	class                              string
}

func run(args []string) (passed bool, err error) {
	var opt options
	f := flag.NewFlagSet("check", flag.ContinueOnError)
	f.BoolVar(&opt.list, "list", false, "list the exercises")
	f.BoolVar(&opt.solution, "solution", false, "check the solution instead of your work")
	f.BoolVar(&opt.start, "start", false, "check the starting state instead of your work")
	f.BoolVar(&opt.reset, "reset", false, "begin again; your work is renamed, not lost")
	f.BoolVar(&opt.json, "json", false, "print the results as JSON, of all exercises unless some are named")
	f.StringVar(&opt.class, "class", "", "summarize the results in the .json files of `DIR`")
	f.IntVar(&opt.hint, "hint", 0, "show hint `N`")
	f.Usage = func() {
		fmt.Fprintln(f.Output(), "usage: check [OPTION...] [DAY [NUMBER]], such as: check day2 3, or: check --hint 1 day2 3")
		f.PrintDefaults()
	}
	var words []string
	for rest := args; len(rest) > 0; { // options may stand before, after and between the words
		if err := f.Parse(rest); err != nil {
			return false, err
		}
		if rest = f.Args(); len(rest) > 0 {
			words, rest = append(words, rest[0]), rest[1:]
		}
	}

	root, err := repository()
	if err != nil {
		return false, err
	}
	all, err := exercises(root)
	if err != nil {
		return false, err
	}
	if opt.class != "" {
		return true, printClass(os.Stdout, opt.class, all)
	}
	if opt.json {
		return printJSON(all, words, opt)
	}
	if opt.list || len(words) == 0 {
		for _, e := range all {
			fmt.Printf("day%d %d  %-9s %s\n", e.day, e.number, e.kind, e.title)
		}
		return true, nil
	}
	chosen, err := choose(all, words)
	if err != nil {
		return false, err
	}
	passed = true
	for i, e := range chosen {
		if i > 0 {
			fmt.Println()
		}
		ok, err := e.do(opt)
		if err != nil {
			return false, fmt.Errorf("%v: %w", e, err)
		}
		passed = passed && ok
	}
	return passed, nil
}

func printJSON(all []*exercise, words []string, opt options) (passed bool, err error) {
	if len(words) > 0 {
		if all, err = choose(all, words); err != nil {
			return false, err
		}
	}
	rec, passed := recordOf(all, opt)
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return passed, out.Encode(rec)
}

func (e *exercise) do(opt options) (passed bool, err error) {
	switch {
	case opt.hint != 0:
		return true, e.showHint(opt.hint)
	case opt.reset:
		return true, e.reset()
	}
	dir := e.place(opt)
	if !opt.start && !opt.solution {
		if err := e.begin(); err != nil {
			return false, err
		}
	}
	fmt.Printf("%v: %s\n", e, e.title)
	r, err := check(e, dir)
	if err != nil {
		return false, err
	}
	r.print(os.Stdout)
	if !r.passed() && !opt.start && !opt.solution {
		fmt.Printf("\nYour work is %s\nThe task     %s\nA hint       go run ./scripts/check --hint 1 day%d %d\n",
			filepath.Join(dir, e.file), e.readme(), e.day, e.number)
	}
	return r.passed(), nil
}

// repository finds the top directory, from wherever in it we are.
func repository() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		if dir == "/" {
			return "", fmt.Errorf("no go.work in %s or above: change to the repository", here)
		}
	}
}

// An exercise is a directory DAY/exercises/NN-NAME with a README.md, the
// starting state in start/ and a solution in solution/.
type exercise struct {
	root, dir   string
	day, number int
	kind, title string // of the first lines of README.md
	file        string // the one to change: answers.txt, run.sh or main.go
	look        func(*bench)
}

func (e *exercise) String() string { return fmt.Sprintf("day%d %d", e.day, e.number) }

func exercises(root string) ([]*exercise, error) {
	dirs, err := filepath.Glob(filepath.Join(root, "day[0-9]-*", "exercises", "[0-9][0-9]-*"))
	if err != nil {
		return nil, err
	}
	var all []*exercise
	for _, dir := range dirs {
		e := &exercise{root: root, dir: dir}
		if _, err := fmt.Sscanf(strings.TrimPrefix(dir, root), "/day%d-", &e.day); err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		if e.number, err = strconv.Atoi(filepath.Base(dir)[:2]); err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		for _, file := range []string{"answers.txt", "run.sh", "main.go"} {
			if _, err := os.Stat(filepath.Join(dir, "start", file)); err == nil {
				e.file = file
			}
		}
		text, err := os.ReadFile(filepath.Join(dir, "README.md"))
		if err != nil {
			return nil, err
		}
		lines := strings.SplitN(string(text), "\n", 4)
		e.title = strings.TrimPrefix(lines[0], "# ")
		e.kind, _, _ = strings.Cut(lines[2], " ")
		if e.look = checks[filepath.Base(filepath.Dir(filepath.Dir(dir)))+"/"+filepath.Base(dir)]; e.look == nil || e.file == "" {
			return nil, fmt.Errorf("%s: an exercise without a check or without a start", dir)
		}
		all = append(all, e)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no exercises below %s", root)
	}
	return all, nil
}

func choose(all []*exercise, words []string) (chosen []*exercise, err error) {
	day, err := strconv.Atoi(strings.TrimPrefix(words[0], "day"))
	number := 0
	if err == nil && len(words) > 1 {
		number, err = strconv.Atoi(words[1])
	}
	if err != nil || len(words) > 2 {
		return nil, fmt.Errorf("%q: want a day and a number, such as day2 3 (see --list)", strings.Join(words, " "))
	}
	for _, e := range all {
		if e.day == day && (len(words) == 1 || e.number == number) {
			chosen = append(chosen, e)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("there is no exercise %s (see --list)", strings.Join(words, " "))
	}
	return chosen, nil
}

// work is where the learner works: day and name as in the repository.
func (e *exercise) work() string {
	return filepath.Join(e.root, "work", fmt.Sprintf("day%d", e.day), filepath.Base(e.dir))
}

// place is the directory to check: the learner's, unless another is asked for.
func (e *exercise) place(opt options) string {
	switch {
	case opt.start:
		return filepath.Join(e.dir, "start")
	case opt.solution:
		return filepath.Join(e.dir, "solution")
	}
	return e.work()
}

// begin copies the starting state, unless there is work already.
func (e *exercise) begin() error {
	if _, err := os.Stat(e.work()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(e.work()), 0o755); err != nil {
		return err
	}
	// Under its own name it is complete, or not there at all.
	half := e.work() + ".new"
	if err := os.RemoveAll(half); err != nil {
		return err
	}
	if err := os.CopyFS(half, os.DirFS(filepath.Join(e.dir, "start"))); err != nil {
		return fmt.Errorf("copy the starting state: %w", err)
	}
	if err := os.Rename(half, e.work()); err != nil {
		return err
	}
	fmt.Printf("made %s\n", filepath.Join(e.work(), e.file))
	return handBack(filepath.Join(e.root, "work"))
}

// handBack gives the files to the learner, who probably ran this through sudo(8).
func handBack(dir string) error {
	uid, err1 := strconv.Atoi(os.Getenv("SUDO_UID"))
	gid, err2 := strconv.Atoi(os.Getenv("SUDO_GID"))
	if err1 != nil || err2 != nil || os.Geteuid() != 0 {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

func (e *exercise) reset() error {
	if _, err := os.Lstat(e.work()); err == nil {
		for n := 1; ; n++ {
			old := fmt.Sprintf("%s.%d", e.work(), n)
			if _, err := os.Lstat(old); !errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err := os.Rename(e.work(), old); err != nil {
				return err
			}
			fmt.Printf("your work is now %s\n", old)
			break
		}
	}
	return e.begin()
}

// readme is the page in the reader's language, see locale(7).
func (e *exercise) readme() string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if value := os.Getenv(name); value != "" {
			if strings.HasPrefix(value, "zh") {
				return filepath.Join(e.dir, "README.zh-TW.md")
			}
			break
		}
	}
	return filepath.Join(e.dir, "README.md")
}

// showHint prints one of the parts that are folded in the page.
func (e *exercise) showHint(n int) error {
	text, err := os.ReadFile(e.readme())
	if err != nil {
		return err
	}
	hints := strings.Split(string(text), "<details>")[1:]
	if n < 1 || n > len(hints) {
		return fmt.Errorf("it has hints 1 to %d", len(hints))
	}
	hint, _, _ := strings.Cut(hints[n-1], "</details>")
	_, hint, _ = strings.Cut(hint, "</summary>")
	fmt.Println(strings.TrimSpace(hint))
	return nil
}
