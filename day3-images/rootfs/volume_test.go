package rootfs

import (
	"strings"
	"testing"
)

func TestParseVolume(t *testing.T) {
	for text, want := range map[string]Volume{
		"/a:/b":             {"/a", "/b", false},
		"/a:/b:ro":          {"/a", "/b", true},
		"/a:/b:rw":          {"/a", "/b", false},
		"/a/../c/:/b//d/./": {"/c", "/b/d", false},
		"/a b:/c":           {"/a b", "/c", false},
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
