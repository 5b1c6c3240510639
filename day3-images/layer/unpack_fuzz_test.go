package layer

import (
	"path/filepath"
	"strings"
	"testing"
)

// Whatever the name, the result is a name below the top.
func FuzzEntryName(f *testing.F) {
	for _, name := range []string{"a", "/", "./", "../a", "a/../b", "a//b/.", ".wh.x/y", "a\x00b", strings.Repeat("a/", 5000)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := entryName(name)
		if err != nil {
			return
		}
		if got == "" || strings.HasPrefix(got, "/") || strings.Contains(got, "\x00") || filepath.Clean(got) != got || !filepath.IsLocal(got) {
			t.Errorf("%q became %q", name, got)
		}
		if again, err := entryName(got); again != got || err != nil {
			t.Errorf("%q became %q, and that %q, %v", name, got, again, err)
		}
		hidden, err := whiteoutOf(filepath.Base(got))
		if err == nil && (strings.Contains(hidden, "/") || hidden == "." || hidden == "..") {
			t.Errorf("%q hides %q", name, hidden)
		}
	})
}
