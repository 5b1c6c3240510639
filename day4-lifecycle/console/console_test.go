package console

import (
	"bytes"
	"testing"
)

func TestParseKeys(t *testing.T) {
	for text, want := range map[string]string{
		"ctrl-p,ctrl-q": "\x10\x11", "x": "x", "a,b,ctrl-c": "ab\x03", "ctrl-@": "\x00", "ctrl-[": "\x1b", "ctrl-_": "\x1f", "CTRL-P": "\x10",
	} {
		if got, err := ParseKeys(text); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ",", "xy", "ctrl-", "ctrl-1", "ctrl-pp", "alt-x", "a,,b"} {
		if got, err := ParseKeys(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// The keys may come one by one, and anything that only starts like them is
// passed on.
func TestDetacher(t *testing.T) {
	for _, test := range []struct {
		keys  string
		typed []string
		want  string
		done  bool
	}{
		{"\x10\x11", []string{"ls\n", "\x10\x11"}, "ls\n", true},
		{"\x10\x11", []string{"\x10", "\x11"}, "", true},
		{"\x10\x11", []string{"\x10", "x", "\x11"}, "\x10x\x11", false},
		{"\x10\x11", []string{"\x10\x10\x11"}, "\x10", true},
		{"\x10\x11", []string{"a\x10\x11b"}, "a", true},
		{"aab", []string{"a", "a", "a", "b"}, "a", true},
		{"q", []string{"xq"}, "x", true},
		{"", []string{"\x10\x11"}, "\x10\x11", false},
	} {
		d := detacher{keys: []byte(test.keys)}
		var got bytes.Buffer
		done := false
		for _, typed := range test.typed {
			var text []byte
			if text, done = d.filter([]byte(typed)); done {
				got.Write(text)
				break
			}
			got.Write(text)
		}
		if got.String() != test.want || done != test.done {
			t.Errorf("%q, typed %q: %q, %v; want %q, %v", test.keys, test.typed, got.String(), done, test.want, test.done)
		}
	}
}
