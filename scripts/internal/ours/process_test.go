package ours

import "testing"

func TestParseStat(t *testing.T) {
	for stat, want := range map[string]Process{
		"12 (sh) S 1 12 12 0":             {12, 1, false, "(sh)"},
		"13 (a b) c) (d) R 12 12 12 0":    {13, 12, false, "(a b) c) (d)"},
		"14 () Z 13 12 12 0":              {14, 13, true, "()"},
		"15 (\n) S 9 (x) T 14 12 12 0":    {15, 14, false, "(\n) S 9 (x)"},
		"4194304 (kworker/0:1) I 2 0 0 0": {4194304, 2, false, "(kworker/0:1)"},
	} {
		if got, err := parseStat(stat); got != want || err != nil {
			t.Errorf("%q: %+v, %v; want %+v", stat, got, err, want)
		}
	}
	for _, stat := range []string{"", "12", "12 (sh", "(sh) S 1", "x (sh) S 1", "12 (sh) S", "12 (sh) S x", "12 )sh( S 1"} {
		if got, err := parseStat(stat); err == nil {
			t.Errorf("%q: %+v, want an error", stat, got)
		}
	}
}
