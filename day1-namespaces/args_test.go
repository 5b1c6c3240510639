package main

import (
	"reflect"
	"strings"
	"testing"
)

// printArgs prints each of its arguments followed by a zero byte.
var printArgs = []string{"sh", "-c", `for a; do printf '%s\0' "$a"; done`, "sh"}

func TestArgumentsArriveExactly(t *testing.T) {
	args := []string{
		"", " ", "two words", "  ", "'", `"`, `\`, `\n`, "new\nline", "tab\t", "$HOME", "`id`", "*", "~", "%s",
		"世界", "e\u0301", "\xff\xfe not UTF-8", "\xa4\xa4\xa4\xe5 (Big5)", "\x01\x7f",
		"-ti", "-t", "--", "--hostname", "-e", "--help", "-h", "--version", "",
		strings.Repeat("long ", 20_000),
	}
	got := finish(t, inContainer(t, append(printArgs, args...)...))
	if want := strings.Join(args, "\x00") + "\x00"; got.stdout != want {
		t.Errorf("got  %.2000q\nwant %.2000q", got.stdout, want)
	}
	if got.status != 0 || got.stderr != "" {
		t.Errorf("status %d, stderr %q", got.status, got.stderr)
	}
}

func TestFlagsEndAtTheCommand(t *testing.T) {
	for _, test := range []struct {
		args, want []string
	}{
		{[]string{"sh", "-ti"}, []string{"sh", "-ti"}},
		{[]string{"-i", "sh", "-c", "exit", "-t"}, []string{"sh", "-c", "exit", "-t"}},
		{[]string{"-it", "sh", "-it"}, []string{"sh", "-it"}},
		{[]string{"stress", "--vm", "1", "-m", "1"}, []string{"stress", "--vm", "1", "-m", "1"}},
		{[]string{"--", "sh", "--"}, []string{"sh", "--"}},
		{[]string{"--", "-x"}, []string{"-x"}},
		{[]string{"sh", "--", "--hostname", "x"}, []string{"sh", "--", "--hostname", "x"}},
		{[]string{""}, []string{""}},
	} {
		p, err := parse(test.args...)
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		if got := []string(p.Args); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: the command is %q, want %q", test.args, got, test.want)
		}
	}
}
