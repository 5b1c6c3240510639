package main

import (
	"fmt"
	"regexp"
	"strings"
)

// A block is one console fence. See docs/STYLE.md for the notation.
type block struct {
	fence    fence
	index    int    // of the fence on the page
	kernel   string // "v1", "v2", or "" for both
	terminal int    // 0 the first, 1 "second", 2 "third"
	steps    []step
}

// A step is one input, and what the terminal shows after it.
type step struct {
	line   int    // on the page
	prompt string // "$ ", the prompt of an inner shell, or "" where nothing is typed
	key    string // "^C", instead of a line
	input  []string
	output []outputLine
	from   int // index of its first output line in the block's text
}

type outputLine struct {
	line int
	text string
}

const dots = "..." // a line of its own: any number of lines

// innerPrompt is the prompt of a root shell that a command has started: "# " in
// dash and bash, "/ # ", with the directory, in busybox.
var innerPrompt = regexp.MustCompile(`^(?:[/~]\S* )?# `)

func (s step) text() string {
	if s.key != "" {
		return s.key
	}
	return strings.Join(s.input, "\n")
}

// blocks of a page, in order.
func (p *page) blocks() ([]block, *failure) {
	var blocks []block
	started := map[int]bool{}
	for i, f := range p.fences {
		if f.lang() != "console" {
			continue
		}
		b, err := parseBlock(f, p.text(f))
		if err != nil {
			err.path = p.path
			return nil, err
		}
		b.index = i
		if first := b.steps[0]; first.prompt != "$ " {
			if !started[b.terminal] {
				return nil, &failure{p.path, first.line, "no command before this: a block starts with `$ `"}
			}
		}
		started[b.terminal] = true
		blocks = append(blocks, b)
	}
	return blocks, nil
}

func parseBlock(f fence, text string) (block, *failure) {
	b := block{fence: f}
	for _, word := range strings.Fields(f.info)[1:] {
		switch word {
		case "v1", "v2":
			b.kernel = word
		case "second":
			b.terminal = 1
		case "third":
			b.terminal = 2
		default:
			return b, &failure{line: f.line - 1, what: fmt.Sprintf("console %s: want v1, v2, second or third", word)}
		}
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if text == "" {
		return b, &failure{line: f.line - 1, what: "empty console block"}
	}
	for i, line := range lines {
		at := f.line + i
		var s *step
		if len(b.steps) > 0 {
			s = &b.steps[len(b.steps)-1]
		}
		prompt := innerPrompt.FindString(line + " ") // "#" alone is the prompt too: editors cut blanks
		switch {
		case strings.HasPrefix(line, "$ "):
			b.steps = append(b.steps, step{line: at, prompt: "$ ", input: []string{line[2:]}, from: i + 1})
		case prompt != "" && len(line) <= len(prompt):
			// The prompt at which the block leaves the shell.
			if i != len(lines)-1 || s == nil {
				return b, &failure{line: at, what: "nothing is typed at this prompt"}
			}
			s.output = append(s.output, outputLine{at, strings.TrimRight(line, " ")})
		case prompt != "":
			b.steps = append(b.steps, step{line: at, prompt: prompt, input: []string{line[len(prompt):]}, from: i + 1})
		case strings.HasPrefix(line, "^C"):
			// What follows on the line is output already, or the end of this line.
			b.steps = append(b.steps, step{line: at, key: "^C", from: i, output: []outputLine{{at, line[2:]}}})
		case strings.HasPrefix(line, "> ") && s != nil && len(s.output) == 0 && s.key == "":
			s.input = append(s.input, line[2:])
			s.from = i + 1
		default:
			if s == nil {
				b.steps = append(b.steps, step{line: at, from: i})
				s = &b.steps[0]
			}
			s.output = append(s.output, outputLine{at, line})
		}
	}
	return b, nil
}
