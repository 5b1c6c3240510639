package demo

import (
	"archive/tar"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"strings"

	"example.com/go-docker/day4-lifecycle/commit"
	"example.com/go-docker/day4-lifecycle/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// buildImage makes an image of one layer: this program, and what it needs.
func buildImage(ctx context.Context, s *store.Store) (*store.Image, error) {
	needed, err := ownFiles()
	if err != nil {
		return nil, err
	}
	img, err := commit.Image(ctx, s, nil, func(out io.Writer) error {
		w := tar.NewWriter(out)
		for target, source := range needed {
			if err := addFile(w, target, source); err != nil {
				return err
			}
		}
		return w.Close()
	}, func(config *v1.ConfigFile) error {
		config.Config.Entrypoint = []string{"/bin/day4-lifecycle", "payload"}
		config.Config.Cmd = []string{"serve"}
		return nil
	}, "demo")
	if err != nil {
		return nil, fmt.Errorf("build the demo's image: %w", err)
	}
	return img, nil
}

// ownFiles lists what this program needs to run: itself and, where cgo linked
// it dynamically, the loader and the libraries, which are all mapped in our own
// memory right now. proc_pid_maps(5)
func ownFiles() (map[string]string, error) {
	files := map[string]string{"bin/day4-lifecycle": "/proc/self/exe"}
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 6 && strings.Contains(f[5], ".so") {
			files[f[5][1:]] = f[5]
		}
	}
	loader, err := interpreter("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	if loader != "" {
		files[loader[1:]] = loader
	}
	return files, nil
}

func addFile(w *tar.Writer, target, source string) error {
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return commit.AddEntry(w, &tar.Header{Name: target, Mode: 0o755, Size: info.Size(), ModTime: info.ModTime()}, file)
}

// interpreter returns the loader that a program asks for, or "" when it is
// statically linked. elf(5), PT_INTERP
func interpreter(program string) (string, error) {
	file, err := elf.Open(program)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", program, err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			name, err := io.ReadAll(p.Open())
			return strings.TrimRight(string(name), "\x00"), err
		}
	}
	return "", nil
}
