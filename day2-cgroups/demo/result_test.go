package demo

import (
	"strings"
	"testing"
)

func TestVerdict(t *testing.T) {
	for _, test := range []struct {
		r    result
		says string
		hits string
		ok   bool
	}{
		{result{LimitBytes: 100 << 20, OOMKills: 1, LimitHits: 3}, "killed the hog: it had 100MiB", "3", true},
		{result{LimitBytes: 100 << 20, OOMKills: 1}, "killed the hog", "not counted", true},
		{result{LimitBytes: 100 << 20, SwapPeak: 1}, "swapped out", "0", true},
		{result{LimitBytes: 100 << 20, LimitHits: 3}, "did not hold", "3", false},
	} {
		err := test.r.verdict()
		if !strings.Contains(test.r.sentence(), test.says) || test.r.hits() != test.hits || (err == nil) != test.ok {
			t.Errorf("%+v: %q, %q, %v", test.r, test.r.sentence(), test.r.hits(), err)
		}
	}
}
