package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

// The page has names for the reader's directory and machine; a run has names of
// its own.
const (
	pageHost = "vm"
	pageRoot = "/root/go-docker"
)

// A runner runs the console blocks of pages.
type runner struct {
	root   string        // of the repository
	kernel string        // "v1" or "v2"
	limit  time.Duration // for a command
	update bool
	alone  bool      // nobody else uses this machine: look for cgroups and mounts that are left
	log    io.Writer // nil: says nothing
}

func newRunner(root string) (*runner, error) {
	kernel, err := memoryKernel()
	if err != nil {
		return nil, err
	}
	limit := 3 * time.Minute
	if os.Getenv("GO_DOCKER_VM") != "" { // an emulated processor
		limit *= 5
	}
	return &runner{root: root, kernel: kernel, limit: limit, alone: true}, nil
}

// A failure is one thing that is wrong with a page.
type failure struct {
	path string
	line int
	what string
}

func (f failure) String() string { return fmt.Sprintf("%s:%d: %s", f.path, f.line, f.what) }

// replacement of lines of a fence's text, for --update.
type replacement struct {
	fence int // index on the page
	line  int // of the page, the first that goes
	count int // how many go
	with  []string
}

// page runs one page. The result has the page's failures; the error is for
// whatever keeps us from running it.
func (r *runner) page(p *page) (failures []failure, changes []replacement, err error) {
	blocks, failed := p.blocks()
	if failed != nil {
		return []failure{*failed}, nil, nil
	}
	before, err := r.snapshot()
	if err != nil {
		return nil, nil, err
	}
	rest, err := newBed()
	if err != nil {
		return nil, nil, err
	}
	defer rest.close()
	s := &session{runner: r, page: p, rest: rest, pairing: newPairing(), terminals: map[int]*terminal{}}
	for i := range blocks {
		if b := &blocks[i]; b.kernel == "" || b.kernel == r.kernel {
			s.logf("%s:%d\n", p.path, b.fence.line)
			if !s.block(b, following(blocks, i, r.kernel)) {
				break
			}
		}
	}
	last := 1
	if len(blocks) > 0 {
		last = blocks[len(blocks)-1].fence.line
	}
	for n, t := range s.terminals {
		if s.inside[n] {
			s.fail(last, "the command in terminal %d has not ended by the end of the page", n+1)
		}
		t.close()
	}
	for _, left := range r.leftovers(before) {
		s.fail(last, "left behind at the end of the page: %s", left)
	}
	return s.failures, s.changes, nil
}

// following is the first step of the next block that will run in the same
// terminal.
func following(blocks []block, i int, kernel string) *step {
	for _, b := range blocks[i+1:] {
		if b.terminal == blocks[i].terminal && (b.kernel == "" || b.kernel == kernel) {
			return &b.steps[0]
		}
	}
	return nil
}

// A session is a page being run.
type session struct {
	*runner
	page      *page
	rest      *bed
	pairing   *pairing
	terminals map[int]*terminal
	inside    map[int]bool   // whether the terminal's last command is still running
	command   map[int]string // the last `$ ` command
	failures  []failure
	changes   []replacement
}

func (s *session) logf(format string, args ...any) {
	if s.log != nil {
		fmt.Fprintf(s.log, format, args...)
	}
}

func (s *session) fail(line int, format string, args ...any) {
	s.failures = append(s.failures, failure{s.page.path, line, fmt.Sprintf(format, args...)})
}

func (s *session) terminal(n int) (*terminal, error) {
	if t := s.terminals[n]; t != nil {
		return t, nil
	}
	t, err := openTerminal(s.root, environment())
	if err != nil {
		return nil, err
	}
	if s.inside == nil {
		s.inside, s.command = map[int]bool{}, map[int]string{}
	}
	s.terminals[n] = t
	return t, nil
}

// environment is that of root's login shell, plus what Go needs to find its
// caches.
func environment() []string {
	env := []string{"TERM=xterm", "LANG=C.UTF-8", "SHELL=/bin/bash", "USER=root", "LOGNAME=root", "PAGER=cat"}
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if name == "PATH" || name == "HOME" || name == "STEPS_BIN" || strings.HasPrefix(name, "GO") && !strings.HasPrefix(name, "GO_DOCKER") {
			env = append(env, e)
		}
	}
	return env
}

// block runs one block; after is the step that follows it in this terminal. It
// returns false when the page cannot go on.
func (s *session) block(b *block, after *step) bool {
	t, err := s.terminal(b.terminal)
	if err != nil {
		s.fail(b.fence.line, "%v", err)
		return false
	}
	for i := range b.steps {
		st, then := &b.steps[i], after
		if i+1 < len(b.steps) {
			then = &b.steps[i+1]
		}
		next := ""    // the inner prompt at which this step has to end
		open := false // or else it goes on
		if then != nil && then.prompt != "$ " {
			next, open = then.prompt, true
		}
		if n := len(st.output); n > 0 && isPrompt(st.output[n-1].text) {
			next = st.output[n-1].text + " "
		}
		if !s.step(b, t, st, next, open) {
			return false
		}
	}
	return true
}

func isPrompt(text string) bool {
	return text != "" && innerPrompt.FindString(text+" ") == text+" "
}

// step types one line or key and compares what follows. next is the inner
// prompt that ends it; open says that the command goes on without one.
func (s *session) step(b *block, t *terminal, st *step, next string, open bool) bool {
	n := b.terminal
	inside := s.inside[n]
	switch {
	case st.prompt == "$ " && inside:
		s.fail(st.line, "the command before this one has not ended")
		return false
	case st.prompt != "$ " && !inside:
		s.fail(st.line, "the command that this was meant for has ended")
		return false
	}
	if st.prompt == "$ " {
		s.command[n] = st.text()
		s.pairing.forgetDead()
	}
	about := s.command[n] + "\n" + st.text()
	want := st.output
	if next != "" && len(want) > 0 && strings.TrimSpace(next) == want[len(want)-1].text {
		want = want[:len(want)-1] // the prompt itself
	}
	condition := t.atPrompt
	switch {
	case next != "":
		inner := atInner(strings.Replace(next, pageRoot, s.root, 1))
		condition = func(printed []byte, quiet time.Duration) bool {
			return t.atPrompt(printed, quiet) || inner(printed, quiet)
		}
	case open:
		condition = func(printed []byte, quiet time.Duration) bool {
			if t.atPrompt(printed, quiet) {
				return true
			}
			if quiet < 3*settle || len(want) == 0 && (quiet < starting || quiet < longestRest && !atRest()) {
				return false
			}
			_, d := s.pairing.match(want, s.lines(printed), about, st.line)
			return d == nil
		}
	}
	printed, err := s.send(t, st, condition)
	if len(printed) > 0 && t.atPrompt(printed, 0) {
		s.inside[n] = false
		printed = bytes.TrimSuffix(printed, t.ps1)
	} else {
		s.inside[n] = true
		if next != "" && err == nil {
			printed = printed[:bytes.LastIndexAny(printed, "\r\n")+1]
		}
	}
	got := s.lines(printed)
	if st.key != "" && len(got) == 0 {
		got = []string{""}
	}
	for _, line := range got {
		s.logf("    %s\n", line)
	}
	if err != nil {
		s.fail(st.line, "%s: %v (%s); it printed:\n%s", st.text(), err, s.limit, indent(got))
		return false
	}
	matched, d := s.pairing.match(want, got, about, st.line)
	switch {
	case d == nil:
		s.pairing = matched
	case s.update:
		s.changes = append(s.changes, s.rewrite(b, st, want, got, about))
	default:
		s.fail(d.line, "%s\n%s", strings.TrimPrefix(st.text(), "\n"), d)
	}
	if next != "" && !s.inside[n] {
		s.fail(st.line, "%s: it has ended, where the page has the prompt %q after it", st.text(), next)
		return false
	}
	return true
}

func (d *difference) String() string {
	want, got := "  the page: "+d.want, "  the run:  "+d.got
	if d.want == "" {
		want = "  the page: (nothing more)"
	}
	if d.got == "" {
		got = "  the run:  (nothing more)"
	}
	return want + "\n" + got
}

func indent(lines []string) string {
	return "  " + strings.Join(lines, "\n  ")
}

// send types the step. Further lines wait until the shell asks for them.
func (s *session) send(t *terminal, st *step, condition func([]byte, time.Duration) bool) ([]byte, error) {
	s.logf("  %s%s\n", st.prompt, st.text())
	if st.key != "" {
		echo := t.echoes()
		if err := t.write("\x03"); err != nil {
			return nil, err
		}
		printed, err := t.until(s.limit, condition)
		if echo {
			printed = bytes.TrimPrefix(printed, []byte("^C"))
		}
		return printed, err
	}
	for i, line := range st.input {
		if i == 0 {
			line = s.rest.patient(line)
		}
		if i == len(st.input)-1 {
			return t.enter(line, s.limit, condition)
		}
		more := atInner("> ")
		if st.prompt == "$ " {
			more = func(printed []byte, quiet time.Duration) bool {
				return t.atPrompt(printed, quiet) || bytes.HasSuffix(printed, t.ps2)
			}
		}
		printed, err := t.enter(line, s.limit, more)
		if err != nil {
			return printed, err
		}
		if st.prompt == "$ " && t.atPrompt(printed, 0) {
			return printed, errors.New("the command was complete before its last line")
		}
	}
	return t.until(s.limit, condition)
}

// lines is what the reader sees, with the page's names for host and place.
func (s *session) lines(printed []byte) []string {
	lines := shown(printed)
	host, _ := os.Hostname()
	name := regexp.MustCompile(`(^|[^\w.-])` + regexp.QuoteMeta(host) + `($|[^\w.-])`)
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], s.root, pageRoot)
		if host != "" {
			lines[i] = name.ReplaceAllString(lines[i], "${1}"+pageHost+"${2}")
		}
	}
	return lines
}

// rewrite makes the page show what was printed. Where it had dots, as many lines
// as before stay above and below them.
func (s *session) rewrite(b *block, st *step, want []outputLine, got []string, about string) replacement {
	lines := make([]string, len(got))
	for i := range got {
		lines[i] = s.pairing.onPage(got[i], about)
	}
	first, last := -1, -1
	for i, w := range want {
		if w.text == dots {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first >= 0 {
		head, tail := first, len(want)-1-last
		if head+tail < len(lines) {
			kept := slices.Clone(lines[:head])
			kept = append(kept, dots)
			lines = append(kept, lines[len(lines)-tail:]...)
		}
	}
	if st.key != "" {
		lines = append([]string{st.key + strings.Join(lines[:min(1, len(lines))], "")}, lines[min(1, len(lines)):]...)
	}
	return replacement{fence: b.index, line: b.fence.line + st.from, count: len(want), with: lines}
}

// apply the changes to the page and to the same fences of its translations.
func (r *runner) apply(p *page, changes []replacement) error {
	rel, err := filepath.Rel(filepath.Join(r.root, "docs"), absolute(p.path))
	if err != nil {
		return err
	}
	paths := []string{p.path}
	if dir, name := filepath.Split(rel); filepath.Clean(dir) == languages[0].Dir {
		for _, l := range languages[1:] {
			paths = append(paths, filepath.Join(r.root, "docs", l.Dir, name))
		}
	}
	for i, path := range paths {
		q, err := readPage(path)
		if errors.Is(err, os.ErrNotExist) && i > 0 {
			logrus.Warnf("no translation %s to update", path)
			continue
		}
		if err != nil {
			return err
		}
		if i > 0 && (len(q.fences) != len(p.fences)) {
			return fmt.Errorf("%s has %d fences and %s %d: make them agree before --update", path, len(q.fences), p.path, len(p.fences))
		}
		lines := strings.SplitAfter(string(q.source), "\n")
		for _, c := range slices.Backward(changes) {
			f, g := p.fences[c.fence], q.fences[c.fence]
			if p.text(f) != q.text(g) {
				return fmt.Errorf("%s:%d differs from %s:%d: make them agree before --update", path, g.line, p.path, f.line)
			}
			at := c.line - 1 + g.line - f.line
			var with []string
			for _, l := range c.with {
				with = append(with, l+"\n")
			}
			lines = slices.Concat(lines[:at], with, lines[at+c.count:])
		}
		if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}
