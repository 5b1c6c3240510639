// Package archive reads images from tars and writes them to tars: load, save,
// import, export.
//
// It grew from rung 09-image, adds Docker's own format, and does not trust the
// archive.
package archive

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"example.com/go-docker/day3-images/commit"
	"example.com/go-docker/day3-images/compression"
	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/interrupt"
	"example.com/go-docker/day3-images/snapshot"
	"example.com/go-docker/day3-images/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/term"
)

// Load adds an archive's images to the store and returns Docker's message for
// each. If an image is there for several platforms, it takes the one for
// platform. If there is only one, that may be for another, unless strict.
func Load(ctx context.Context, s *store.Store, r io.Reader, platform v1.Platform, strict bool) (done []string, err error) {
	j, err := s.BeginAdding(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, j.End()) }()
	dir := j.Path("archive")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	files, err := spoolArchive(interrupt.Waiting(ctx, r), dir)
	if err != nil {
		return nil, err
	}
	images, err := files.images(platform)
	if err != nil {
		return nil, err
	}
	u, err := snapshot.NewUnpacker(s)
	if err != nil {
		return nil, err
	}
	for _, img := range images {
		if err := img.takeIn(ctx, s, j, files, u, platform, strict); err != nil {
			return done, err
		}
		name := "Loaded image ID: " + img.m.Config.Digest.String()
		if img.name != "" {
			name = "Loaded image: " + image.Familiar(img.name)
		}
		if !slices.Contains(done, name) { // one without a name may be listed several times
			done = append(done, name)
		}
	}
	return done, nil
}

// takeIn adds an image's layers to the store, then its name.
func (img archived) takeIn(ctx context.Context, s *store.Store, j *store.Job, files *spool, u *snapshot.Unpacker, platform v1.Platform, strict bool) error {
	configText, err := files.document(img.m.Config)
	if err != nil {
		return err
	}
	config, err := image.ParseConfig(configText, img.m)
	if err != nil {
		return err
	}
	if strict {
		if err := image.CheckPlatform(config, platform); err != nil {
			return err
		}
	}
	for _, blob := range img.m.Layers {
		if s.HasBlob(blob) {
			continue
		}
		path, err := files.find(blob)
		if err == nil {
			err = s.AdoptBlob(path, blob)
		}
		if err != nil {
			return err
		}
	}
	if err := u.Image(ctx, img.m, config); err != nil {
		return err
	}
	_, err = s.Publish(j, img.manifest, configText, img.name, v1.Hash{})
	return err
}

// Import makes an image with one layer from source, which is a tar (- for
// standard input) or a directory.
func Import(ctx context.Context, s *store.Store, source, name string, config func(*v1.ConfigFile) error) (*store.Image, error) {
	return commit.Image(ctx, s, nil, func(w io.Writer) error { return copyTar(ctx, w, source) }, config, name)
}

func copyTar(ctx context.Context, w io.Writer, source string) error {
	if info, err := os.Stat(source); err == nil && info.IsDir() {
		return commit.PackTree(w, source)
	}
	file, err := Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	uncompressed, err := compression.Decompress(interrupt.Waiting(ctx, file))
	if err != nil {
		return err
	}
	defer uncompressed.Close()
	n, err := io.Copy(w, uncompressed)
	if err == nil && n == 0 {
		err = errors.New("it is empty")
	}
	return err
}

// Open opens a file, or standard input for "-".
func Open(name string) (*os.File, error) {
	if name != "-" {
		return os.Open(name)
	}
	if term.IsTerminal(os.Stdin.Fd()) {
		return nil, errors.New("standard input is a terminal: name a file, or pipe one in")
	}
	return os.Stdin, nil
}
