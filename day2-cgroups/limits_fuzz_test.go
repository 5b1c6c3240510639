package main

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"example.com/go-docker/day2-cgroups/cgroup"
)

var plainSize = regexp.MustCompile(`^([0-9]{1,400}(?:\.[0-9]{0,400})?)([kmgtp]?)(?:ib|b)?$`)

// exactSize computes a plain size without rounding.
func exactSize(s string) *big.Rat {
	parts := plainSize.FindStringSubmatch(strings.ToLower(s))
	if parts == nil || strings.HasSuffix(strings.ToLower(s), "ib") && parts[2] == "" {
		return nil
	}
	size, ok := new(big.Rat).SetString(strings.TrimSuffix(parts[1], "."))
	if !ok {
		return nil
	}
	shift := 10 * uint(strings.Index("kmgtp", parts[2])+1)
	if parts[2] == "" {
		shift = 0
	}
	return size.Mul(size, new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), shift)))
}

// A size is either exact, to the precision of a float64, or refused.
func FuzzMemory(f *testing.F) {
	for _, s := range append(refusedLimits["--memory"], "100m", "0.5G", "1.5kib", "4p", "9007199254740993", "1e9") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseMemory(s)
		if err == nil && (n < minMemory || n > maxMemory) {
			t.Fatalf("%q is %d", s, n)
		}
		exact := exactSize(s)
		if exact == nil {
			return
		}
		size, _ := exact.Float64()
		switch {
		case err != nil && size > minMemory && size < maxMemory-1024:
			t.Errorf("%q: %v", s, err)
		case err == nil && (float64(n) < size*(1-1e-12)-1 || float64(n) > size*(1+1e-12)):
			t.Errorf("%q is %d, should be %v", s, n, size)
		}
	})
}

// Swap is never negative except for cgroup.Unlimited, and the sum does not
// overflow.
func FuzzSwap(f *testing.F) {
	for _, s := range []string{"", "0", "-1", "-2", "100m", "150m", "9223372036854771712", "18446744073709551616", "nan "} {
		f.Add(s, int64(100<<20))
		f.Add(s, int64(0))
	}
	f.Fuzz(func(t *testing.T, s string, memory int64) {
		if memory < minMemory || memory > maxMemory {
			memory = 0
		}
		swap, err := parseSwap(s, memory)
		if err != nil {
			return
		}
		if memory == 0 || swap < cgroup.Unlimited || swap > maxMemory-memory {
			t.Errorf("%q with memory %d: swap %d", s, memory, swap)
		}
	})
}

func FuzzCPUs(f *testing.F) {
	for _, s := range append(refusedLimits["--cpus"], "0.5", "1", "0.01", "1e-2", "0x1p-1") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		quota, err := parseCPUs(s)
		if err != nil {
			return
		}
		want, err := strconv.ParseFloat(s, 64)
		if err != nil || quota < 1000 || float64(quota) < want*cgroup.CPUPeriod-1 || float64(quota) > want*cgroup.CPUPeriod+1 {
			t.Errorf("%q is a quota of %d", s, quota)
		}
	})
}

// A whole number stays itself, becomes 0, or is refused.
func FuzzWholeNumbers(f *testing.F) {
	for _, s := range append(refusedLimits["--cpu-shares"], refusedLimits["--pids-limit"]...) {
		f.Add(s)
	}
	f.Add("1024")
	f.Fuzz(func(t *testing.T, s string) {
		shares, err := parseShares(s)
		if err == nil && shares != 0 && (shares < 2 || shares > 262144 || !means(s, shares)) {
			t.Errorf("%q is %d shares", s, shares)
		}
		pids, err := parsePids(s)
		if err == nil && !means(s, pids) && !(pids == 0 && means(s, -1)) {
			t.Errorf("%q is %d pids", s, pids)
		}
	})
}

func means(s string, n int64) bool {
	exact, ok := new(big.Int).SetString(s, 10)
	return ok && exact.Cmp(big.NewInt(n)) == 0
}
