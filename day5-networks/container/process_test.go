package container

import (
	"testing"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/namespace"
)

// A container gets namespaces of its own unless its description says otherwise:
// day 4's says nothing of them, and its store may be ours. In the host's mount
// namespace, init would take away the host's own root.
func TestOwnNamespaces(t *testing.T) {
	const all = namespace.All &^ unix.CLONE_NEWCGROUP // which init makes
	for c, want := range map[*Container]uintptr{{}: all, {SharesNet: true}: all &^ unix.CLONE_NEWNET} {
		if got := initCommand(c, Parent{}).SysProcAttr.Cloneflags; got != want {
			t.Errorf("%+v: clone flags %#x, want %#x", *c, got, want)
		}
	}
}
