package demo

import (
	"archive/tar"
	"context"
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

// buildImage makes three layers: the second changes a file of the first, and
// the third deletes one file and adds another. It runs this very program: init
// can execute its own file as /proc/self/exe, wherever it is. proc(5)
func buildImage(ctx context.Context, s *store.Store) (img *store.Image, err error) {
	for _, files := range [][][2]string{
		{{"notes/greeting", "from layer 1\n"}, {"notes/doomed", "from layer 1\n"}, {"notes/old", "from layer 1\n"}},
		{{"notes/greeting", "from layer 2\n"}},
		{{"notes/.wh.old", ""}, {"notes/extra", "from layer 3\n"}},
	} {
		img, err = commit.Image(ctx, s, img, func(out io.Writer) error {
			w := tar.NewWriter(out)
			for _, file := range files {
				hdr := &tar.Header{Name: file[0], Mode: 0o644, Size: int64(len(file[1])), ModTime: time.Now()}
				if err := commit.AddEntry(w, hdr, strings.NewReader(file[1])); err != nil {
					return err
				}
			}
			return w.Close()
		}, func(config *v1.ConfigFile) error {
			config.Config.Entrypoint = []string{"/proc/self/exe", "payload"}
			return nil
		}, "demo")
		if err != nil {
			return nil, fmt.Errorf("build the demo's image: %w", err)
		}
	}
	return img, nil
}

// Libraries returns the flags of run that mount the host's, in case cgo has
// linked this program dynamically.
func Libraries() (flags []string) {
	for _, dir := range []string{"/lib", "/lib64", "/usr/lib"} {
		if _, err := os.Stat(dir); err == nil {
			flags = append(flags, "-v", dir+":"+dir+":ro")
		}
	}
	return flags
}

// Payload runs in the demo's container: it adds, changes and deletes a file.
// The last two come from layers that it cannot write to.
func Payload() error {
	return errors.Join(
		os.WriteFile("/notes/new", []byte("added by the container\n"), 0o644),
		os.WriteFile("/notes/greeting", []byte("changed by the container\n"), 0o644),
		os.Remove("/notes/doomed"))
}
