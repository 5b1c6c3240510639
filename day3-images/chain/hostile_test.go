package chain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
)

// Whatever is in a layer and in the layers below it, nothing outside the store
// changes. find(1) is the judge.
func TestSettleHostile(t *testing.T) {
	testkit.NeedRoot(t)
	for _, c := range testkit.HostileLayers(t) {
		t.Run(c.Name, func(t *testing.T) {
			base := t.TempDir()
			outside, store := filepath.Join(base, "outside"), filepath.Join(base, "store")
			for _, dir := range []string{outside, store} {
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(outside+"/canary", []byte("sings"), 0o600); err != nil {
				t.Fatal(err)
			}
			below := testkit.Tar(t, testkit.Symlink("a", outside), testkit.Symlink("l", "../../../.."+outside), testkit.Symlink("outside", "a"),
				testkit.Dir("b"), testkit.Symlink("b/c", ".."), testkit.Symlink("d", "d"))
			above := testkit.Tar(t, testkit.File("a/canary", "x"), testkit.File("l/.wh.canary", ""), testkit.File("outside/.wh..wh..opq", ""), testkit.File("b/c/a/canary", "x"))
			hostile := c.Layer(outside)
			before := testkit.Judge(t, base, store)
			for i, tars := range [][][]byte{{hostile}, {below, hostile, above}} {
				dir := filepath.Join(store, string(rune('0'+i)))
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				_, err := unpackAll(dir, tars)
				if after := testkit.Judge(t, base, store); after != before {
					t.Errorf("outside was\n%s\nand is\n%s", before, after)
				}
				if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") {
					t.Errorf("the error is not one line: %q", err)
				}
				if c.Refused == "not in this layer" && err == nil {
					continue // a file took the place of that hard link
				}
				if c.Refused != "" && (err == nil || i == 0 && !strings.Contains(err.Error(), c.Refused)) {
					t.Errorf("the error is %v, want %s", err, c.Refused)
				}
			}
		})
	}
}

func TestSettleRefuses(t *testing.T) {
	testkit.NeedRoot(t)
	for _, c := range []struct {
		name         string
		lower, upper []testkit.Entry
		want         string
	}{
		{"a loop", []testkit.Entry{testkit.Symlink("a", "b"), testkit.Symlink("b", "a")}, []testkit.Entry{testkit.File("a/x", "")}, "too many levels of symbolic links"},
		{"a link to a file", []testkit.Entry{testkit.File("f", ""), testkit.Symlink("l", "f")}, []testkit.Entry{testkit.File("l/x", "")}, `"f": not a directory`},
		{"a hard link to a file below", []testkit.Entry{testkit.File("d/f", "")}, []testkit.Entry{testkit.HardLink("x", "d/f")}, "not in this layer"},
		{"a hard link to nothing", nil, []testkit.Entry{testkit.HardLink("x", "d/f")}, "not in this layer"},
	} {
		_, err := unpackAll(t.TempDir(), [][]byte{testkit.Tar(t, c.lower...), testkit.Tar(t, c.upper...)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, want %q", c.name, err, c.want)
		}
	}
}
