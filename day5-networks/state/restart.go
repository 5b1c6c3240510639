package state

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Policy says when a container is started again: --restart.
type Policy struct {
	Name string // no, on-failure, always or unless-stopped; "" is no
	Max  int    // times, for on-failure; 0: no limit
}

// ParsePolicy reads the value of --restart.
func ParsePolicy(text string) (Policy, error) {
	name, count, hasCount := strings.Cut(text, ":")
	p := Policy{Name: name}
	var err error
	switch {
	case name != "no" && name != "on-failure" && name != "always" && name != "unless-stopped":
		err = fmt.Errorf("want no, on-failure[:TIMES], always or unless-stopped")
	case hasCount && name != "on-failure":
		err = fmt.Errorf("only on-failure takes a number")
	case hasCount:
		if p.Max, err = strconv.Atoi(count); err != nil || p.Max < 0 {
			err = fmt.Errorf("%q is no number of times", count)
		}
	}
	if err != nil {
		return p, fmt.Errorf("invalid --restart %q: %w", text, err)
	}
	return p, nil
}

func (p Policy) String() string {
	if p.Name == "" {
		return "no"
	}
	return p.Name
}

// Again tells whether a container that has ended with a status, after so many
// restarts, is to be started again.
func (p Policy) Again(status, restarts int) bool {
	switch p.Name {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return status != 0 && (p.Max == 0 || restarts < p.Max)
	}
	return false
}

const (
	firstPause = 100 * time.Millisecond
	lastPause  = time.Minute
	longEnough = 10 * time.Second // to count as a success
)

// Pause is how long to wait before the next start: Docker's times. last is the
// pause before this run, ran how long it took.
func Pause(last, ran time.Duration) time.Duration {
	if last == 0 || ran > longEnough {
		return firstPause
	}
	return min(2*last, lastPause)
}
