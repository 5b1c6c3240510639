package main

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A pattern is something in a command's output that may differ from run to run.
// What matches no pattern must match exactly.
//
// The patterns are tried in the order of this table; what one has matched, later
// ones do not see. The first group, if there is one, is the part that varies.
type pattern struct {
	name string
	re   *regexp.Regexp
	// where has to match the command or the line for the pattern to be tried.
	where *regexp.Regexp
	rule  rule
}

type rule int

const (
	exact  rule = iota // has to be the same: keeps it from a later pattern
	paired             // stands for one thing: what is equal on the page is equal in the run, what differs differs
	varies             // any value
	near               // within one page of memory: a counter may be one ahead of the limit
)

const memoryPage = 4096

var patterns = []pattern{
	{name: "exit status", rule: exact, re: regexp.MustCompile(`(?i)\b(?:status|code|signal)[ :=]+\d+(?: = 128 \+ \d+)?`)},
	{name: "digest", rule: paired, re: regexp.MustCompile(`\b[0-9a-f]{64}\b`)},
	{name: "inode", rule: paired, re: regexp.MustCompile(`\b[a-z_]+:\[(\d+)\]`)},
	{name: "inode", rule: paired, re: regexp.MustCompile(`\b402653\d{4}\b`)}, // lsns, stat: without the brackets
	{name: "mac", rule: paired, re: regexp.MustCompile(`\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b`)},
	{name: "key", rule: paired, re: regexp.MustCompile(`\b0x[0-9a-f]{8}\b`)},
	{name: "ipc id", rule: paired, re: regexp.MustCompile(`\bid: (\d+)$`)},
	{name: "temporary name", rule: paired, re: regexp.MustCompile(`\btmp\.\w{6,10}\b`)},
	{name: "address", rule: exact, re: regexp.MustCompile(`\b\d{1,3}(?:\.\d{1,3}){3}(?:[:/]\d+)?\b`)}, // or it would be a version
	{name: "date", rule: varies, re: regexp.MustCompile(`\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?[+-]\d\d:?\d\d|Z)?)?`)},
	{name: "date", rule: varies, re: regexp.MustCompile(`\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2}(?: +(?:\d\d:\d\d(?::\d\d)?|\d{4}))?\b`)},
	{name: "time", rule: varies, re: regexp.MustCompile(`\b\d\d:\d\d(?::\d\d)?(?:\.\d+)?\b`)},
	{name: "container", rule: paired, re: regexp.MustCompile(`\b[0-9a-f]{12}\b`)},
	{name: "duration", rule: varies, re: regexp.MustCompile(`\b(?:\d+[hm] ?)*\d+(?:\.\d+)? ?(?:ns|µs|us|ms|s|sec|secs|seconds|minutes)\b`)},
	{name: "duration", rule: varies, re: regexp.MustCompile(`\b(?:(?:Less than|About) an? (?:second|minute)|1 (?:second|minute))\b`)}, // ps
	{name: "duration", rule: varies, re: regexp.MustCompile(`\b(?:nr_\w+|\w+_usec|\w+_ns|\w+_time) (\d+)$`)},                          // cpu.stat
	{name: "version", rule: varies, re: regexp.MustCompile(`\b(?:go|v)?\d+\.\d+\.\d+(?:[-+~][\w.+~-]*)?\b`)},
	{name: "percentage", rule: varies, re: regexp.MustCompile(`\b\d+\.\d+ ?%`)},
	{name: "hits", rule: varies, re: regexp.MustCompile(`(?:^|\bat the )(?:max|low|high|limit) +(\d+|not counted)\b`)},
	{name: "hits", rule: varies, re: regexp.MustCompile(`\b\d+\b`), where: regexp.MustCompile(`\bfailcnt\b`)},
	{name: "usage", rule: varies, re: regexp.MustCompile(`\b\d{4,}\b`), where: regexp.MustCompile(`memory\.(?:current|usage_in_bytes|stat|swap\.current)\b`)},
	{name: "device", rule: paired, re: regexp.MustCompile(`\b0:(\d{2,})\b`)},
	{name: "mount", rule: paired, re: regexp.MustCompile(`^(\d{2,}) \d+ \d`)}, // mountinfo: its id
	{name: "mount", rule: paired, re: regexp.MustCompile(`^\S* ?(\d{2,}) `), where: regexp.MustCompile(`mountinfo`)},
	{name: "mount", rule: paired, re: regexp.MustCompile(`\b(?:shared|master|propagate_from):(\d+)\b`)},
	{name: "pid", rule: paired, re: regexp.MustCompile(`^\[\d+\][+-]? +(\d{2,})\b`)}, // a job in the background
	{name: "pid", rule: paired, re: regexp.MustCompile(`/proc/(\d{2,})\b`)},
	{name: "pid", rule: paired, re: regexp.MustCompile(`\b\d{2,7}\b`), where: aboutPIDs},
	{name: "bytes", rule: near, re: regexp.MustCompile(`\b\d{5,}\b`)},
}

// aboutPIDs: the command lists processes, or the line speaks of one.
var aboutPIDs = regexp.MustCompile(`(?i)\b(?:n?s?t?p?pid|pids|process(?:es)?|pgrep|pidof|pstree|shim|ps|lsns|jobs|kill|killed|tasks)\b|\bcgroup\.(?:procs|threads)\b|\$\$|\$!`)

// notPIDs only look like it: files and options.
var notPIDs = regexp.MustCompile(`\bpids\.\w+|\bkill\.\w+|--pids?\b\S*|/proc/\w+|/pids\b|oom_kill|OOM kills?|pids controller`)

// A token is what a pattern took from a line.
type token struct {
	pattern    pattern
	start, end int // in the line
	value      string
}

// tokens finds what may vary in a line of the command's output.
func tokens(line, command string) []token {
	var found []token
	rest := []byte(line) // with what is taken blotted out
	for _, p := range patterns {
		if p.where != nil {
			about := line + "\n" + command
			if p.where == aboutPIDs {
				about = notPIDs.ReplaceAllString(about, "")
			}
			if !p.where.MatchString(about) {
				continue
			}
		}
		for _, m := range p.re.FindAllSubmatchIndex(rest, -1) {
			start, end := m[0], m[1]
			if len(m) > 2 && m[2] >= 0 {
				start, end = m[2], m[3]
			}
			if p.name == "pid" && p.where != nil && !standsAlone(line, start, end) {
				continue
			}
			found = append(found, token{p, start, end, line[start:end]})
			for i := start; i < end; i++ {
				rest[i] = 0
			}
		}
	}
	slices.SortFunc(found, func(a, b token) int { return cmp.Compare(a.start, b.start) })
	return found
}

// standsAlone: not a part of a name, a fraction or a size.
func standsAlone(line string, start, end int) bool {
	joins := func(c byte) bool { return c == '.' || c == '-' || c == '_' || c == '%' }
	if start > 0 && joins(line[start-1]) {
		return false
	}
	return end >= len(line) || !joins(line[end]) || end+1 == len(line) && line[end] == '.' ||
		line[end] == '.' && line[end+1] == ' '
}

var blanks = regexp.MustCompile(`[ \t]+`)

// skeleton is a line without its varying parts. Any run of blanks equals any
// other, because columns shift with their contents.
func skeleton(line string, found []token) string {
	var b strings.Builder
	at := 0
	for _, t := range found {
		b.WriteString(line[at:t.start])
		b.WriteString("\x00" + t.pattern.name + "\x00")
		at = t.end
	}
	b.WriteString(line[at:])
	return strings.TrimSpace(blanks.ReplaceAllString(b.String(), " "))
}

// A pairing remembers which value on the page stands for which in the run, for
// one page.
type pairing struct{ toRun, toPage map[string]string }

func newPairing() *pairing {
	return &pairing{map[string]string{}, map[string]string{}}
}

func (p *pairing) clone() *pairing {
	return &pairing{maps.Clone(p.toRun), maps.Clone(p.toPage)}
}

// pair says whether onPage can stand for inRun, and if so remembers it.
func (p *pairing) pair(name, onPage, inRun string) bool {
	a, b := name+" "+onPage, name+" "+inRun
	run, seenPage := p.toRun[a]
	page, seenRun := p.toPage[b]
	if !seenPage && !seenRun {
		p.toRun[a], p.toPage[b] = b, a
		return true
	}
	return run == b && page == a
}

// forgetDead forgets what no longer exists, because the kernel reuses the numbers
// of namespaces, mounts and devices that are gone.
func (p *pairing) forgetDead() {
	alive := map[string]bool{}
	links, _ := filepath.Glob("/proc/[0-9]*/ns/*")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil {
			_, inode, _ := strings.Cut(strings.TrimSuffix(target, "]"), ":[")
			alive["inode "+inode] = true
		}
	}
	for page, run := range p.toRun {
		name, _, _ := strings.Cut(run, " ")
		switch name {
		case "inode", "device", "mount": // the last two are forgotten in any case
			if !alive[run] {
				delete(p.toRun, page)
				delete(p.toPage, run)
			}
		}
	}
}

// sameLine compares a line of the page with one of the run.
func (p *pairing) sameLine(onPage, inRun, command string) bool {
	a, b := tokens(onPage, command), tokens(inRun, command)
	if skeleton(onPage, a) != skeleton(inRun, b) {
		return false
	}
	for i := range a {
		switch a[i].pattern.rule {
		case exact:
			if a[i].value != b[i].value {
				return false
			}
		case paired:
			if !p.pair(a[i].pattern.name, a[i].value, b[i].value) {
				return false
			}
		case near:
			if !isNear(a[i].value, b[i].value) {
				return false
			}
		}
	}
	return true
}

func isNear(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	if errX != nil || errY != nil {
		return false
	}
	return max(x, y)-min(x, y) <= memoryPage
}

// onPage rewrites a line of the run with the page's own names for what has
// been paired, so that a new line agrees with those that stay.
func (p *pairing) onPage(inRun, command string) string {
	var b strings.Builder
	at := 0
	for _, t := range tokens(inRun, command) {
		b.WriteString(inRun[at:t.start])
		at = t.end
		value := t.value
		if t.pattern.rule == paired {
			key := t.pattern.name + " " + t.value
			if known, ok := p.toPage[key]; ok {
				value = strings.TrimPrefix(known, t.pattern.name+" ")
			} else {
				p.pair(t.pattern.name, value, value)
			}
		}
		b.WriteString(value)
	}
	b.WriteString(inRun[at:])
	return b.String()
}
