package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"example.com/go-docker/day3-images/commit"
	"example.com/go-docker/day3-images/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// buildDemoImage makes three layers: the second changes a file of the first,
// and the third deletes one and adds one.
func buildDemoImage(ctx context.Context, s *store.Store) (*store.Image, error) {
	needed, err := ownFiles()
	if err != nil {
		return nil, err
	}
	layers := []func(*tar.Writer) error{
		func(w *tar.Writer) error {
			for target, source := range needed {
				if err := addFile(w, target, source); err != nil {
					return err
				}
			}
			return errors.Join(addText(w, "notes/greeting", "from layer 1\n"),
				addText(w, "notes/doomed", "from layer 1\n"), addText(w, "notes/old", "from layer 1\n"))
		},
		func(w *tar.Writer) error { return addText(w, "notes/greeting", "from layer 2\n") },
		func(w *tar.Writer) error {
			return errors.Join(addText(w, "notes/.wh.old", ""), addText(w, "notes/extra", "from layer 3\n"))
		},
	}
	var img *store.Image
	for _, layer := range layers {
		img, err = commit.Image(ctx, s, img, func(out io.Writer) error {
			w := tar.NewWriter(out)
			return errors.Join(layer(w), w.Close())
		}, func(config *v1.ConfigFile) {
			config.Config.Entrypoint = []string{"/bin/day3-images", "payload"}
		}, "demo")
		if err != nil {
			return nil, fmt.Errorf("build the demo's image: %w", err)
		}
	}
	return img, nil
}

// ownFiles lists what this program needs to run: itself and, where cgo linked
// it dynamically, the loader and the libraries, which are all mapped in our own
// memory right now. proc_pid_maps(5)
func ownFiles() (map[string]string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	files := map[string]string{"bin/day3-images": "/proc/self/exe"}
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	for scanner := bufio.NewScanner(bytes.NewReader(text)); scanner.Scan(); {
		f := strings.Fields(scanner.Text())
		if len(f) == 6 && strings.Contains(f[5], ".so") && f[5] != exe {
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

func addText(w *tar.Writer, name, text string) error {
	return commit.AddEntry(w, &tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), ModTime: time.Now()}, strings.NewReader(text))
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
