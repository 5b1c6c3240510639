// Testlog reads what go test -json prints and shows less of it than go test would:
// a line for each package, and everything that a failed test said. It records how
// long each test took.
//
//	go test -json ... | testlog RECORD       add to the record; exit 1 if anything failed
//	testlog --slowest N RECORD               a table
//	testlog --sum SECONDS RECORD             one line: how many passed, failed, skipped, and why
//
// A record has a line for each test, in columns with tabs between them: where
// it ran (TEST_WHERE: here, race, or a mode of scripts/vm/suite), package, test, PASS, FAIL
// or SKIP, seconds, and what a skipped test said. If TEST_TIMES names a file,
// it says how long each package took the last time.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 1:
		err = follow(os.Stdin, os.Stdout, args[0])
	case len(args) == 3 && args[0] == "--slowest":
		err = slowest(os.Stdout, args[1], args[2])
	case len(args) == 3 && args[0] == "--sum":
		err = sum(os.Stdout, args[1], args[2])
	default:
		err = errors.New("usage: testlog RECORD, testlog --slowest N RECORD, or testlog --sum SECONDS RECORD")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testlog:", err)
		os.Exit(1)
	}
}

// An event is a line of go test -json: go doc test2json.
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string // of what is built
	Elapsed                       float64
}

const module = "example.com/go-docker/"

func follow(in io.Reader, out io.Writer, record string) error {
	file, err := os.OpenFile(record, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	where := cmp.Or(os.Getenv("TEST_WHERE"), "here")
	said := map[string][]string{} // by a package and its test
	times, err := readTimes()
	if err != nil {
		return err
	}
	var took []string
	failedIn := map[string]bool{}
	failed := 0
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil { // a word from go itself
			fmt.Fprintln(out, lines.Text())
			continue
		}
		// A subtest counts with its test.
		test, _, isSub := strings.Cut(e.Test, "/")
		key := e.Package + " " + test
		switch e.Action {
		case "output":
			said[key] = append(said[key], e.Output)
		case "start":
			if last := times[packageKey(where, e.Package)]; last >= 5 {
				fmt.Fprintf(out, "--  \t%s\tstarts, took %.0fs last time\n", e.Package, last)
			}
		case "build-output":
			fmt.Fprint(out, e.Output)
		case "pass", "fail", "skip":
			if isSub {
				continue
			}
			if e.Action == "fail" {
				failed++
			}
			if test == "" {
				took = append(took, fmt.Sprintf("%.0f\t%s\n", e.Elapsed, packageKey(where, e.Package)))
				show(out, said[key], e.Action == "fail")
				if e.Action != "fail" || failedIn[e.Package] {
					continue
				}
				e.Test = "(the package)" // it does not compile, or has ended in the middle
			}
			failedIn[e.Package] = e.Action == "fail" || failedIn[e.Package]
			why := ""
			if e.Action == "fail" && test != "" {
				show(out, said[key], true)
			} else if e.Action == "skip" {
				why = reason(said[key])
			}
			delete(said, key)
			fmt.Fprintf(file, "%s\t%s\t%s\t%s\t%.2f\t%s\n", where, strings.TrimPrefix(e.Package, module), e.Test, strings.ToUpper(e.Action), e.Elapsed, why)
		}
	}
	if err := errors.Join(lines.Err(), addTimes(took)); err != nil {
		return err
	}
	if failed > 0 {
		return errors.New("there are failures, see above")
	}
	return nil
}

func packageKey(where, pkg string) string { return where + " " + strings.TrimPrefix(pkg, module) }

// readTimes reads the file that TEST_TIMES names: seconds, a tab, and what took
// them; the last line of a name counts.
func readTimes() (map[string]float64, error) {
	times := map[string]float64{}
	text, err := os.ReadFile(os.Getenv("TEST_TIMES"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	for line := range strings.Lines(string(text)) {
		seconds, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if t, err := strconv.ParseFloat(seconds, 64); err == nil {
			times[name] = t
		}
	}
	return times, err
}

func addTimes(lines []string) error {
	if os.Getenv("TEST_TIMES") == "" {
		return nil
	}
	file, err := os.OpenFile(os.Getenv("TEST_TIMES"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(strings.Join(lines, ""))
	return errors.Join(err, file.Close())
}

// show prints a failed test whole, and of a package the line with its verdict.
func show(out io.Writer, lines []string, whole bool) {
	for _, line := range lines {
		if whole || strings.HasPrefix(line, "ok ") {
			fmt.Fprint(out, line)
		}
	}
}

// reason is what a test said when it skipped: "    file.go:12: needs root".
func reason(lines []string) string {
	for _, line := range slices.Backward(lines) {
		if _, why, found := strings.Cut(strings.TrimSpace(line), ".go:"); found {
			_, why, _ = strings.Cut(why, ": ")
			return strings.ReplaceAll(why, "\t", " ")
		}
	}
	return "without a word"
}

type result struct {
	where, pkg, test, verdict, why string
	seconds                        float64
}

func read(record string) (all []result, err error) {
	text, err := os.ReadFile(record)
	for line := range strings.Lines(string(text)) {
		f := append(strings.Split(strings.TrimSuffix(line, "\n"), "\t"), "")
		if len(f) < 6 {
			return nil, fmt.Errorf("%s: not a line of a record: %q", record, line)
		}
		seconds, err := strconv.ParseFloat(f[4], 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", record, err)
		}
		all = append(all, result{f[0], f[1], f[2], f[3], f[5], seconds})
	}
	return all, err
}

func slowest(out io.Writer, count, record string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	all, err := read(record)
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b result) int { return cmp.Compare(b.seconds, a.seconds) })
	for _, r := range all[:min(n, len(all))] {
		fmt.Fprintf(out, "%8.1f s  %-8s %s %s\n", r.seconds, r.where, r.pkg, r.test)
	}
	return nil
}

// sum counts each run of a test, because each can fail.
func sum(out io.Writer, seconds, record string) error {
	took, err := strconv.Atoi(seconds)
	if err != nil {
		return err
	}
	all, err := read(record)
	if err != nil {
		return err
	}
	count, why := map[string]int{}, map[string]int{}
	var failed []string
	for _, r := range all {
		count[r.verdict]++
		switch r.verdict {
		case "FAIL":
			failed = append(failed, r.pkg+" "+r.test)
		case "SKIP":
			why[cmp.Or(r.why, "in a guest, see scripts/vm/skips")]++
		}
	}
	var reasons []string
	for text, n := range why {
		reasons = append(reasons, fmt.Sprintf("%d: %s", n, text))
	}
	slices.Sort(reasons)
	line := fmt.Sprintf("%d passed, %d failed, %d skipped", count["PASS"], count["FAIL"], count["SKIP"])
	if len(reasons) > 0 {
		line += " (" + strings.Join(reasons, "; ") + ")"
	}
	if len(failed) > 0 {
		slices.Sort(failed)
		line += ": " + strings.Join(failed, ", ")
	}
	fmt.Fprintf(out, "%s, in %d min %d s\n", line, took/60, took%60)
	return nil
}
