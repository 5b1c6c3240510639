package compression

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"example.com/go-docker/day3-images/internal/testkit"
	"github.com/klauspost/compress/zstd"
)

func readPlain(r io.Reader) ([]byte, error) {
	layer, err := Decompress(r)
	if err != nil {
		return nil, err
	}
	defer layer.Close()
	return io.ReadAll(layer)
}

func TestDecompress(t *testing.T) {
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	skippable := []byte("\x5a\x2a\x4d\x18\x04\x00\x00\x00skip")
	a, b := testkit.Text(3*(128<<10)+17), []byte("short")
	for _, c := range []struct {
		name   string
		in     []byte
		want   []byte
		failed string // words of the error
	}{
		{"plain", a, a, ""},
		{"nothing", nil, nil, ""},
		{"one byte", []byte("x"), []byte("x"), ""},
		{"as short as a magic number", []byte("(\xb5/"), []byte("(\xb5/"), ""},
		{"exactly one buffer", a[:(128 << 10)], a[:(128 << 10)], ""},
		{"exactly all buffers", testkit.Text(8 * (128 << 10)), testkit.Text(8 * (128 << 10)), ""},
		{"gzip", testkit.Gzipped(t, a), a, ""},
		{"gzip of nothing", testkit.Gzipped(t, nil), nil, ""},
		{"gzip of two members", join(testkit.Gzipped(t, a), testkit.Gzipped(t, b)), join(a, b), ""},
		{"gzip and zeros", join(testkit.Gzipped(t, a), make([]byte, 100_000)), a, ""},
		{"gzip of two members and zeros", join(testkit.Gzipped(t, nil), make([]byte, 512), testkit.Gzipped(t, a), make([]byte, 1)), a, ""},
		{"gzip, zeros and garbage", join(testkit.Gzipped(t, a), make([]byte, 10), []byte("garbage garbage")), nil, "decompress gzip: gzip: invalid header"},
		{"gzip, cut off", testkit.Gzipped(t, a)[:1000], nil, "decompress gzip: unexpected EOF"},
		{"gzip, cut off in its header", testkit.Gzipped(t, a)[:5], nil, "decompress gzip: "},
		{"gzip, cut off before its checksum", testkit.Gzipped(t, a)[:len(testkit.Gzipped(t, a))-8], nil, "decompress gzip: unexpected EOF"},
		{"gzip and garbage", join(testkit.Gzipped(t, a), []byte("garbage garbage")), nil, "decompress gzip: gzip: invalid header"},
		{"gzip of another method", []byte("\x1f\x8b\x07xxxxxxxxxxxxx"), nil, "decompress gzip: gzip: invalid header"},
		{"zstd", testkit.Zstded(t, a), a, ""},
		{"zstd of nothing", testkit.Zstded(t, nil, zstd.WithZeroFrames(true)), nil, ""},
		{"zstd of two frames", join(testkit.Zstded(t, a), testkit.Zstded(t, b)), join(a, b), ""},
		{"zstd with frames to skip", join(skippable, testkit.Zstded(t, a), skippable, testkit.Zstded(t, b)), join(a, b), ""},
		{"zstd, cut off", testkit.Zstded(t, a)[:1000], nil, "decompress zstd: unexpected EOF"},
		{"zstd and garbage", join(testkit.Zstded(t, a), []byte("garbage garbage")), nil, "decompress zstd: "},
		{"zstd with a window of 32 MiB", []byte("\x28\xb5\x2f\xfd\x04\x78\x01\x00\x00\x99\xe9\xd8\x51"), nil, ""},
		{"zstd with a window of 64 MiB", []byte("\x28\xb5\x2f\xfd\x04\x80\x01\x00\x00\x99\xe9\xd8\x51"), nil, "decompress zstd: it takes more than 32 MiB of memory: compress it without"},
		{"zstd with the largest window", []byte("\x28\xb5\x2f\xfd\x04\xff\x01\x00\x00\x99\xe9\xd8\x51"), nil, "decompress zstd: it takes more than 32 MiB of memory: compress it without"},
		{"bzip2", []byte("BZh91AY&SY"), nil, "bzip2"},
		{"xz", []byte("\xfd7zXZ\x00\x00\x04"), nil, "with xz"},
	} {
		for name, r := range map[string]io.Reader{"": bytes.NewReader(c.in), ", byte by byte": iotest.OneByteReader(bytes.NewReader(c.in))} {
			t.Run(c.name+name, func(t *testing.T) {
				got, err := readPlain(r)
				if c.failed != "" {
					if err == nil || !strings.Contains(err.Error(), c.failed) {
						t.Errorf("the error is %v, want %s", err, c.failed)
					}
					return
				}
				if err != nil || !bytes.Equal(got, c.want) {
					t.Errorf("%d bytes, error %v, want %d bytes", len(got), err, len(c.want))
				}
			})
		}
	}
}

// We can read what the peers write.
func TestDecompressPeers(t *testing.T) {
	plain := testkit.Text(300_000)
	for _, command := range []string{"gzip -1", "gzip -9", "zstd -1", "zstd -19", "zstd --long=25", "zstd -T2 --check"} {
		t.Run(command, func(t *testing.T) {
			words := strings.Fields(command)
			_, err := exec.LookPath(words[0])
			testkit.Need(t, err == nil, words[0])
			cmd := exec.Command(words[0], append(words[1:], "-c")...)
			cmd.Stdin = bytes.NewReader(plain)
			compressed, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := readPlain(bytes.NewReader(compressed)); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes, error %v, want %d bytes", len(got), err, len(plain))
			}
		})
	}
}

// Damage is found: gzip and zstd carry a checksum of the content. (The digest
// of the layer finds it as well.)
func TestDecompressDamaged(t *testing.T) {
	plain := testkit.Text(2000)
	for name, compressed := range map[string][]byte{"gzip": testkit.Gzipped(t, plain), "zstd": testkit.Zstded(t, plain)} {
		sum := crc32.ChecksumIEEE(compressed)
		for i := range compressed {
			for _, bit := range []byte{0x01, 0x80} {
				compressed[i] ^= bit
				got, err := readPlain(bytes.NewReader(compressed))
				// Some bits do not count, like the file's time in gzip's
				// header. In the magic number they make it another kind of
				// file.
				if err == nil && !bytes.Equal(got, plain) && i >= 4 {
					t.Errorf("%s: byte %d damaged: %d other bytes and no error", name, i, len(got))
				}
				compressed[i] ^= bit
			}
		}
		if crc32.ChecksumIEEE(compressed) != sum {
			t.Fatal("the test did not mend what it damaged")
		}
	}
}

func TestDecompressReadError(t *testing.T) {
	broken := errors.New("the network is gone")
	plain := testkit.Text(1 << 20)
	for name, in := range map[string][]byte{"plain": plain, "gzip": testkit.Gzipped(t, plain), "zstd": testkit.Zstded(t, plain)} {
		for _, n := range []int{0, 3, 11, 1000, 100_000, len(in)} {
			r := io.MultiReader(bytes.NewReader(in[:n]), iotest.ErrReader(broken))
			if got, err := readPlain(r); !errors.Is(err, broken) || len(got) > len(plain) {
				t.Errorf("%s, after %d bytes: %d bytes and error %v", name, n, len(got), err)
			}
		}
	}
}

// Close ends the goroutine wherever the reader stopped, and nothing more is
// read.
func TestDecompressClose(t *testing.T) {
	before := runtime.NumGoroutine()
	plain := testkit.Text(4 << 20)
	for name, in := range map[string][]byte{"plain": plain, "gzip": testkit.Gzipped(t, plain), "zstd": testkit.Zstded(t, plain)} {
		for _, n := range []int64{0, 1, (128 << 10), (128 << 10) + 1, 1 << 20, 3 << 20, 4 << 20, 5 << 20} {
			reads := 0
			source := testkit.ReaderFunc(func() func([]byte) (int, error) {
				r := bytes.NewReader(in)
				return func(p []byte) (int, error) { reads++; return r.Read(p) }
			}())
			layer, err := Decompress(source)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.CopyN(io.Discard, layer, n); got != min(n, int64(len(plain))) || err != nil && err != io.EOF {
				t.Errorf("%s: read %d of %d, %v", name, got, n, err)
			}
			for range 2 {
				if err := layer.Close(); err != nil {
					t.Error(err)
				}
			}
			then := reads
			if _, err := layer.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: read after close", name)
			}
			if reads != then {
				t.Errorf("%s: %d more reads after close", name, reads-then)
			}
		}
	}
	for wait := time.Now(); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Since(wait) > time.Minute {
			t.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), before)
		}
	}
}

// A small blob that becomes a large layer needs little memory.
func TestDecompressBomb(t *testing.T) {
	const size = 1 << 30
	for name, compressed := range map[string][]byte{"gzip": testkit.ZeroBomb(t, "gzip", size), "zstd": testkit.ZeroBomb(t, "zstd", size)} {
		var n int64
		var err error
		peak := testkit.PeakHeap(func() {
			layer, open := Decompress(bytes.NewReader(compressed))
			if err = open; err == nil {
				defer layer.Close()
				n, err = io.Copy(io.Discard, layer)
			}
		})
		if n != size || err != nil {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		if peak > 64<<20 {
			t.Errorf("%s: it took %d MiB of memory", name, peak>>20)
		}
		t.Logf("%s: %d bytes, %d MiB", name, len(compressed), peak>>20)
	}
}

func FuzzDecompress(f *testing.F) {
	for _, plain := range [][]byte{nil, []byte("short"), testkit.Text(1000)} {
		f.Add(plain)
		f.Add(testkit.Gzipped(f, plain))
		f.Add(testkit.Zstded(f, plain))
	}
	f.Add([]byte("\x5a\x2a\x4d\x18\x04\x00\x00\x00skip"))
	f.Fuzz(func(t *testing.T, in []byte) {
		layer, err := Decompress(bytes.NewReader(in))
		if err != nil {
			return
		}
		defer layer.Close()
		n, err := io.Copy(io.Discard, io.LimitReader(layer, 8<<20))
		if err != nil && (strings.Contains(err.Error(), "\n") || fmt.Sprint(err) == "") {
			t.Errorf("%d bytes, and an error that is not one line: %q", n, err)
		}
	})
}
