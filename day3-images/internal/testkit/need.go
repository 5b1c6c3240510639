// Package testkit has what the tests of several rooms need: tars of all kinds,
// and ways to compare the resulting trees. The program does not use it.
package testkit

import (
	"os"
	"testing"
)

// Need skips a test on a machine that lacks what the test is about. If
// GO_DOCKER_MUST_RUN=1 promises a complete machine, as in CI, it fails the test
// instead.
func Need(t testing.TB, have bool, what string) {
	t.Helper()
	switch {
	case have:
	case os.Getenv("GO_DOCKER_MUST_RUN") == "1":
		t.Fatalf("needs %s, and GO_DOCKER_MUST_RUN=1 does not let it skip", what)
	default:
		t.Skipf("needs %s", what)
	}
}

// NeedRoot is Need for things that only root may do.
func NeedRoot(t testing.TB) {
	t.Helper()
	Need(t, os.Geteuid() == 0, "root")
}
