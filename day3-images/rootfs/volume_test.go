package rootfs

import (
	"strings"
	"testing"
)

func TestParseVolume(t *testing.T) {
	for text, want := range map[string]Volume{
		"/a:/b":             {Source: "/a", Target: "/b"},
		"/a:/b:ro":          {Source: "/a", Target: "/b", ReadOnly: true},
		"/a:/b:rw":          {Source: "/a", Target: "/b"},
		"/a/../c/:/b//d/./": {Source: "/c", Target: "/b/d"},
		"/a b:/c":           {Source: "/a b", Target: "/c"},
	} {
		if got, err := ParseVolume(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"/a": "want SOURCE:TARGET", "": "want SOURCE:TARGET", "/a:/b:x": "want SOURCE:TARGET", "/a:/b:ro:ro": "want SOURCE:TARGET",
		"a:/b": "named volumes", ":/b": "absolute", "/a:b": "target", "/a:": "target", "/a:/": "target", "/a:/x/..": "target",
	} {
		if got, err := ParseVolume(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want an error about %q", text, got, err, want)
		}
	}
}
