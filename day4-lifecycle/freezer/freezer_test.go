package freezer

import (
	"os"
	"testing"
)

// On a machine without the freezer controller a container's cgroup is removed all
// the same, and files of that name where the user happens to be are his own.
func TestThawWithoutFreezer(t *testing.T) {
	t.Chdir(t.TempDir())
	const own = "the user's"
	for _, name := range []string{"freezer.state", "cgroup.freeze", "cgroup.events"} {
		if err := os.WriteFile(name, []byte(own), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for version := range files {
		if err := Thaw(version, ""); err != nil {
			t.Errorf("version %d: %v", version, err)
		}
		if text, err := os.ReadFile(files[version].name); err != nil || string(text) != own {
			t.Errorf("version %d: %q, %v", version, text, err)
		}
	}
}
