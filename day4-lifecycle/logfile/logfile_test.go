package logfile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

func create(t testing.TB, path string, o Options) *Writer {
	t.Helper()
	w, err := Create(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// write makes a log of these texts, each of which arrives in one read.
func write(t testing.TB, path string, o Options, texts ...string) {
	t.Helper()
	w := create(t, path, o)
	for _, text := range texts {
		if err := w.Copy("stdout", strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// read returns what a query prints.
func read(t testing.TB, path string, q Query) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	p := &Printer{Stdout: &out, Stderr: &errs}
	if err := Read(t.Context(), path, q, func() bool { return true }, p.Print); err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String()
}

var all = Query{Tail: -1}

func files(t testing.TB, path string) (names []string) {
	t.Helper()
	names, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestRoundTrip(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":        "",
		"lines":          "a\n\nb\n",
		"no newline":     "a\nb",
		"controls":       "\x00\x01\x1b[1m\r\t\\\"</>&\x7f\n",
		"characters":     "世界 🐳\u2028\u2029\n",
		"longest":        strings.Repeat("x", Longest-1) + "\n",
		"one more":       strings.Repeat("x", Longest) + "\n",
		"long":           strings.Repeat("x", 5*Longest+7) + "\nnext\n",
		"cut in a rune":  strings.Repeat("x", Longest-2) + strings.Repeat("世", 9000) + "\n",
		"all escaped":    strings.Repeat("\x00", 3*Longest) + "\n",
		"like a record":  `{"log":"x\n","stream":"stdout","time":"2026-01-02T15:04:05Z"}` + "\n",
		"larger than in": strings.Repeat("0123456789\n", 40000),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			write(t, path, Options{}, text)
			if out, errs := read(t, path, all); out != text || errs != "" {
				t.Errorf("got %.100q (%d bytes) and %q, want %d bytes", out, len(out), errs, len(text))
			}
		})
	}
}

// Each line is an object as Docker writes it, with at most one line of output.
func TestFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	before := time.Now()
	w := create(t, path, Options{})
	if err := w.Copy("stderr", strings.NewReader("bad \xff\xc3\n"+strings.Repeat("y", 20000))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"bad \ufffd\ufffd\n", strings.Repeat("y", Longest), strings.Repeat("y", 20000-Longest)}
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		var e map[string]string
		if err := json.Unmarshal([]byte(line), &e); err != nil || len(e) != 3 {
			t.Fatalf("%v in %q", err, line)
		}
		at, err := time.Parse(time.RFC3339Nano, e["time"])
		if err != nil || !strings.HasSuffix(e["time"], "Z") || at.Before(before.Add(-time.Second)) || at.After(time.Now()) {
			t.Errorf("time %q", e["time"])
		}
		if e["log"] != want[i] || e["stream"] != "stderr" {
			t.Errorf("%.60q of %s", e["log"], e["stream"])
		}
	}
}

// A line that arrives in pieces is one entry, and two streams never share an
// entry.
func TestStreamsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := create(t, path, Options{MaxSize: 10000, MaxFile: 1000})
	var both sync.WaitGroup
	for _, stream := range []string{"stdout", "stderr"} {
		r, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		both.Go(func() {
			if err := w.Copy(stream, r); err != nil {
				t.Error(err)
			}
			r.Close()
		})
		both.Go(func() {
			for i := range 2000 {
				fmt.Fprintf(out, "%s ", stream)
				fmt.Fprintf(out, "%d\n", i)
			}
			out.Close()
		})
	}
	both.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	err := Read(t.Context(), path, all, nil, func(e *Entry) error {
		if want := fmt.Sprintf("%s %d\n", e.Stream, next[e.Stream]); e.Log != want {
			return fmt.Errorf("%q, want %q", e.Log, want)
		}
		next[e.Stream]++
		return nil
	})
	if err != nil || next["stdout"] != 2000 || next["stderr"] != 2000 {
		t.Errorf("%v, %v", next, err)
	}
	if n := len(files(t, path)); n < 10 {
		t.Errorf("only %d files", n)
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	lines := func(from, to int) string {
		var b strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&b, "line %d\n", i)
		}
		return b.String()
	}
	o := Options{MaxSize: 1000, MaxFile: 3}
	for i := range 10 {
		write(t, path, o, lines(10*i, 10*i+10))
	}
	names := files(t, path)
	if want := []string{path, path + ".1", path + ".2"}; fmt.Sprint(names) != fmt.Sprint(want) {
		t.Fatalf("files %q", names)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.Size() > 1000 || info.Mode().Perm()&0o007 != 0 {
			t.Errorf("%v %v", info, err)
		}
	}
	out, _ := read(t, path, all)
	if !strings.HasSuffix(lines(0, 100), out) || strings.Count(out, "\n") < 20 {
		t.Errorf("not the end of what was written:\n%s", out)
	}
	for n := range 35 {
		if out, errs := read(t, path, Query{Tail: n}); out != lines(max(100-n, 100-strings.Count(out, "\n")), 100) || errs != "" || n < 25 && strings.Count(out, "\n") != n {
			t.Errorf("tail %d: %s%s", n, out, errs)
		}
	}
	// A number without a file, as after a crash during rotation.
	if err := os.Rename(path+".2", path+".3"); err != nil {
		t.Fatal(err)
	}
	if got, _ := read(t, path, all); got != out {
		t.Errorf("with a gap:\n%s", got)
	}
	write(t, filepath.Join(dir, "one"), Options{MaxSize: 1000}, lines(0, 100))
	if names := files(t, filepath.Join(dir, "one")); len(names) != 1 {
		t.Errorf("files %q", names)
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	long := strings.Repeat("z", 3*Longest)
	write(t, path, Options{}, "1\n2\n"+long+"\n4\n")
	for n, want := range []string{"", "4\n", long + "\n4\n", "2\n" + long + "\n4\n", "1\n2\n" + long + "\n4\n", "1\n2\n" + long + "\n4\n"} {
		if out, _ := read(t, path, Query{Tail: n}); out != want {
			t.Errorf("tail %d: %.40q, want %.40q", n, out, want)
		}
	}
	// The end of a large log is found without reading all of it.
	big := filepath.Join(t.TempDir(), "big")
	write(t, big, Options{}, strings.Repeat("0123456789\n", 500000)+"end\n")
	tail := time.Hour
	for range 5 { // others may have the processor meanwhile
		before := time.Now()
		if out, _ := read(t, big, Query{Tail: 1}); out != "end\n" {
			t.Errorf("%q", out)
		}
		tail = min(tail, time.Since(before))
	}
	before := time.Now()
	read(t, big, all)
	if whole := time.Since(before); tail > whole/5 {
		t.Errorf("one line took %v, all %v", tail, whole)
	}
}

func TestSinceUntil(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var text bytes.Buffer
	day := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for i := range 9 {
		text.Write(appendRecord(nil, fmt.Appendf(nil, "%d\n", i), recordTail("stdout", day.AddDate(0, 0, i))))
	}
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	q := Query{Tail: -1, Since: day.AddDate(0, 0, 3), Until: day.AddDate(0, 0, 5)}
	if out, _ := read(t, path, q); out != "3\n4\n5\n" {
		t.Errorf("%q", out)
	}
	q.Follow, q.Since = true, time.Time{} // ends although the log continues
	var out bytes.Buffer
	p := &Printer{Stdout: &out, Timestamps: true}
	if err := Read(t.Context(), path, q, func() bool { return false }, p.Print); err != nil || !strings.HasPrefix(out.String(), "2026-01-01T12:00:00Z 0\n") || strings.Count(out.String(), "\n") != 6 {
		t.Errorf("%v: %s", err, &out)
	}
}

// What is no regular file is neither read nor written: a FIFO would hold us up.
func TestNoRegularFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	q := Query{Tail: -1, Follow: true}
	err := Read(t.Context(), path, q, func() bool { return false }, func(*Entry) error { return nil })
	if err == nil || !strings.Contains(err.Error(), path+" is not a regular file") {
		t.Errorf("%v", err)
	}
	_, err = Create(path, Options{})
	if err == nil {
		t.Error("a FIFO is written as a log")
	}
	if err := os.Rename(path, path+".next"); err != nil { // the file that rotation is about to make
		t.Fatal(err)
	}
	text := strings.Repeat("line\n", 10000)
	write(t, path, Options{MaxSize: 200 << 10, MaxFile: 9}, text)
	if out, errs := read(t, path, all); out != text || errs != "" {
		t.Errorf("%d bytes of %d, and %q", len(out), len(text), errs)
	}
}

// moby #53631, #29511: one damaged record must not end the log.
func TestDamaged(t *testing.T) {
	good := func(text string) string {
		return string(appendRecord(nil, []byte(text), recordTail("stdout", time.Now())))
	}
	for name, test := range map[string]struct {
		text, out string
		lost      int
	}{
		"zeros":                 {good("a\n") + strings.Repeat("\x00", 300) + "\n" + good("b\n"), "a\nb\n", 1},
		"zeros, then a record":  {good("a\n") + strings.Repeat("\x00", 300) + good("b\n"), "a\nb\n", 1},
		"half, then a record":   {good("a\n") + good("lost\n")[:30] + good("b\n"), "a\nb\n", 1},
		"half at the end":       {good("a\n") + good("b\n")[:20], "a\n", 1},
		"half, more zeros":      {good("a\n") + good("b\n")[:20] + strings.Repeat("\x00", 1<<20), "a\n", 1},
		"no newline at the end": {good("a\n") + strings.TrimSuffix(good("b\n"), "\n"), "a\nb\n", 0},
		"empty line":            {good("a\n") + "\n" + good("b\n"), "a\nb\n", 1},
		"no object":             {good("a\n") + "[]\nnull\n7\n\"x\"\n" + good("b\n"), "a\nb\n", 4},
		"another stream":        {good("a\n") + strings.Replace(good("x\n"), "stdout", "stdwhat", 1) + good("b\n"), "a\nb\n", 1},
		"no time":               {`{"log":"a\n","stream":"stdout"}` + "\n" + good("b\n"), "b\n", 1},
		"too long":              {good("a\n") + good(strings.Repeat("x", 8*Longest)) + good("b\n"), "a\nb\n", 1},
		"much too long":         {strings.Repeat("x", 3<<20) + "\n" + good("b\n"), "b\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			out, errs := read(t, path, all)
			if out != test.out || strings.Count(errs, "log: 1 lost here: damaged record\n") != test.lost {
				t.Errorf("got %q and %q", out, errs)
			}
			if out, _ := read(t, path, Query{Tail: 1}); !strings.HasSuffix(test.out, out) || strings.Count(out, "\n") != 1 {
				t.Errorf("the last line is %q", out)
			}
			// Anything later is intact.
			write(t, path, Options{}, "new\n")
			if out, _ := read(t, path, all); !strings.HasSuffix(out, "new\n") || !strings.HasPrefix(out, test.out) {
				t.Errorf("and then %q", out)
			}
		})
	}
	empty := filepath.Join(t.TempDir(), "none")
	if out, errs := read(t, empty, all); out+errs != "" {
		t.Errorf("no log: %q %q", out, errs)
	}
}

func TestFollow(t *testing.T) {
	for _, o := range []Options{{}, {MaxSize: 2000, MaxFile: 1000}} {
		path := filepath.Join(t.TempDir(), "log")
		w := create(t, path, o)
		r, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := w.Copy("stdout", r); err != nil {
				t.Error(err)
			}
		}()
		go func() {
			for i := range 2000 {
				fmt.Fprintln(out, "line", i)
				if i%100 == 0 {
					time.Sleep(5 * time.Millisecond)
				}
			}
			out.Close()
		}()
		ended := func() bool {
			select {
			case <-done:
				return true
			default:
				return false
			}
		}
		var got, want bytes.Buffer
		for i := range 2000 {
			fmt.Fprintln(&want, "line", i)
		}
		p := &Printer{Stdout: &got, Stderr: &got}
		if err := Read(t.Context(), path, Query{Tail: -1, Follow: true}, ended, p.Print); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Errorf("%+v: followed %d bytes of %d: %.200s", o, got.Len(), want.Len(), got.String())
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A follower ends when told to, and when nobody reads its own output.
func TestFollowEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	write(t, path, Options{}, "a\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	never := func() bool { return false }
	n := 0
	count := func(*Entry) error {
		n++
		time.AfterFunc(20*time.Millisecond, cancel) // when it has begun to wait for more
		return nil
	}
	if err := Read(ctx, path, Query{Tail: -1, Follow: true}, never, count); err != nil || n != 1 {
		t.Errorf("%d entries, %v", n, err)
	}
	want := errors.New("nobody reads")
	if err := Read(t.Context(), path, Query{Tail: -1, Follow: true}, never, func(*Entry) error { return want }); !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
}

// On a full disk the container continues. Once there is room again the log
// does, too, and says how much was lost.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small disk")
	}
	for name, o := range map[string]Options{"one file": {}, "rotated": {MaxSize: 20000, MaxFile: 100}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := unix.Mount("small", dir, "tmpfs", 0, "size=1m"); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
			}()
			path, ballast := filepath.Join(dir, "log"), filepath.Join(dir, "ballast")
			if err := os.WriteFile(ballast, make([]byte, 700<<10), 0o600); err != nil {
				t.Fatal(err)
			}
			w := create(t, path, o)
			r, out := io.Pipe() // unbuffered: whatever was written has been read
			copied := make(chan error)
			go func() { copied <- w.Copy("stdout", r) }()
			const lines = 6000 // of 100 bytes: twice what fits
			for i := range lines {
				if i == lines-500 {
					if err := os.Remove(ballast); err != nil {
						t.Fatal(err)
					}
				}
				fmt.Fprintf(out, "line %5d\n", i)
			}
			out.Close()
			if err := <-copied; err != nil {
				t.Error(err)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			got, lost, last := 0, 0, ""
			err := Read(t.Context(), path, all, nil, func(e *Entry) error {
				if e.Lost > 0 && e.Why != "no space left on device" {
					t.Errorf("%+v", e)
				}
				if e.Lost == 0 {
					got++
					last = e.Log
				}
				lost += e.Lost
				return nil
			})
			if err != nil || got+lost != lines || lost < 1000 || got < 1500 || last != fmt.Sprintf("line %5d\n", lines-1) {
				t.Errorf("%d read and %d lost of %d, the last is %q; %v", got, lost, lines, last, err)
			}
			for _, name := range files(t, path) {
				if info, err := os.Stat(name); err != nil || o.MaxSize > 0 && info.Size() > o.MaxSize {
					t.Errorf("%v %v", info, err)
				}
			}
		})
	}
}

func TestParseOptions(t *testing.T) {
	for text, want := range map[string]Options{
		"":                         {},
		"max-size=10m":             {MaxSize: 10 << 20},
		"max-size=1k max-file=3":   {MaxSize: 1024, MaxFile: 3},
		"max-size=5 max-file=1000": {MaxSize: 5, MaxFile: 1000},
		"max-file=1":               {MaxFile: 1},
	} {
		if got, err := ParseOptions(strings.Fields(text)); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"max-size", "max-size=", "max-size=0", "max-size=-1", "max-size=x", "max-file=0", "max-file=2", "max-file=1024 max-size=1", "max-file=1.5", "labels=x", "=", "max-size=9999999999g"} {
		if got, err := ParseOptions(strings.Fields(text)); err == nil || !strings.Contains(err.Error(), "--log-opt") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// appendRecord writes JSON that decodes to the text.
func FuzzRecord(f *testing.F) {
	for _, text := range []string{"", "a\n", "\x00\"\\\xff\xe4\xb8", "世界\u2028\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		record := appendRecord(nil, text, recordTail("stdout", time.Now()))
		if bytes.IndexByte(record, '\n') != len(record)-1 {
			t.Fatalf("%q is not one line", record)
		}
		e, damaged := decode(record)
		if e == nil || damaged {
			t.Fatalf("%q cannot be read", record)
		}
		if want := string([]rune(string(text))); e.Log != want || !utf8.ValidString(e.Log) {
			t.Errorf("%q became %q", text, e.Log)
		}
	})
}

// Whatever is in the file, it is read to its end, and so is anything added
// later.
func FuzzRead(f *testing.F) {
	good := string(appendRecord(nil, []byte("a\n"), recordTail("stdout", time.Now())))
	for _, text := range []string{"", good, good[:30], good + good[:30], "\x00\n", "{}\n[]", `{"log":"`} {
		f.Add([]byte(text), 1)
	}
	path := filepath.Join(f.TempDir(), "log")
	f.Fuzz(func(t *testing.T, text []byte, tail int) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		write(t, path, Options{}, "last\n")
		if out, _ := read(t, path, all); !strings.HasSuffix(out, "last\n") {
			t.Errorf("%q", out)
		}
		if out, _ := read(t, path, Query{Tail: max(tail, 1)}); !strings.HasSuffix(out, "last\n") {
			t.Errorf("the last %d: %q", tail, out)
		}
	})
}

func BenchmarkCopy(b *testing.B) {
	line := strings.Repeat("a line of a log that is eighty bytes long, ", 2)[:79] + "\n"
	text := strings.Repeat(line, 800)
	w := create(b, filepath.Join(b.TempDir(), "log"), Options{MaxSize: 64 << 20, MaxFile: 2})
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if err := w.Copy("stdout", strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}
