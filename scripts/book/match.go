package main

import "strings"

// A difference is the first place where the page and the run differ.
type difference struct {
	line int    // on the page
	want string // "" if the page has no more lines
	got  string // "" if the run has none
}

// match compares what the page shows of a command with what it printed. On
// success it returns the pairing with what this has added.
func (p *pairing) match(want []outputLine, got []string, command string, end int) (*pairing, *difference) {
	want, got = trimLines(want), trimBlank(got)
	m := matcher{want: want, got: got, command: command, far: -1}
	if q := m.from(0, 0, p.clone()); q != nil {
		return q, nil
	}
	d := &difference{line: end}
	if m.farWant < len(want) {
		d.line, d.want = want[m.farWant].line, want[m.farWant].text
	} else if len(want) > 0 {
		d.line = want[len(want)-1].line
	}
	if m.farGot < len(got) {
		d.got = got[m.farGot]
	}
	return nil, d
}

func trimLines(lines []outputLine) []outputLine {
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1].text) == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

func trimBlank(lines []string) []string {
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

type matcher struct {
	want    []outputLine
	got     []string
	command string
	// how far the best attempt got
	far, farWant, farGot int
}

func (m *matcher) from(i, j int, p *pairing) *pairing {
	for ; i < len(m.want); i, j = i+1, j+1 {
		if m.want[i].text == dots {
			return m.skip(i+1, j, p)
		}
		if j >= len(m.got) || !p.sameLine(m.want[i].text, m.got[j], m.command) {
			m.failed(i, j)
			return nil
		}
	}
	if j < len(m.got) {
		m.failed(i, j)
		return nil
	}
	return p
}

// skip tries every number of lines that the dots may stand for. Each attempt
// has its own pairing: what a wrong one has paired must not count.
func (m *matcher) skip(i, j int, p *pairing) *pairing {
	if i == len(m.want) {
		return p
	}
	for ; j <= len(m.got); j++ {
		if q := m.from(i, j, p.clone()); q != nil {
			return q
		}
	}
	return nil
}

func (m *matcher) failed(i, j int) {
	if i > m.far {
		m.far, m.farWant, m.farGot = i, i, j
	}
}
