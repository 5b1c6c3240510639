package namespace

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

func TestIDMaps(t *testing.T) {
	uid, gid := os.Geteuid(), os.Getegid()
	wantUID := []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
	wantGID := []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	if uid == 0 {
		wantUID, wantGID = allIDs(t, "uid"), allIDs(t, "gid")
	}
	users, groups, err := IDMaps()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(users, wantUID) {
		t.Errorf("uid map %v, want %v", users, wantUID)
	}
	if !reflect.DeepEqual(groups, wantGID) {
		t.Errorf("gid map %v, want %v", groups, wantGID)
	}
}

// allIDs maps each of our ids to itself.
func allIDs(t *testing.T, kind string) (all []syscall.SysProcIDMap) {
	text, err := os.ReadFile("/proc/self/" + kind + "_map")
	if err != nil {
		t.Fatal(err)
	}
	var inside, outside, size int
	for line := range strings.Lines(string(text)) {
		fmt.Sscan(line, &inside, &outside, &size)
		all = append(all, syscall.SysProcIDMap{ContainerID: inside, HostID: inside, Size: size})
	}
	return all
}
