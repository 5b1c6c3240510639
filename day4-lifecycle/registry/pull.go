// Package registry pulls images from registries: OCI distribution
// specification, "Pull". A library speaks the protocol, logs in, tries again
// what may go better the next time, and checks every digest.
//
// The ladder has no rung for it; what becomes of an image is 09-image's.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/snapshot"
	"example.com/go-docker/day4-lifecycle/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Options say what to pull, and how.
type Options struct {
	Platform v1.Platform // zero: this machine's
	Insecure []string    // hosts that may speak plain HTTP
	Progress *os.File    // where to say how it goes; nil: nowhere
}

// A Result is what came of a pull.
type Result struct {
	Digest v1.Hash // the registry's name for the image
	IsNew  bool    // the name meant another image before, or none
}

// A pull is one image on its way from a registry into the store.
type pull struct {
	*source
	store    *store.Store
	progress *progress
	unpacker *snapshot.Unpacker
}

// Pull fetches an image and gives it its name. Whatever happens before that,
// the store has the same images as before; but layers that are complete stay
// until the next rmi, and a second try does not fetch them again.
func Pull(ctx context.Context, s *store.Store, ref image.Reference, options Options) (got Result, err error) {
	j, err := s.BeginAdding(ctx)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, j.End()) }()
	from, err := newSource(ref, options.Insecure)
	if err != nil {
		return got, err
	}
	p := &pull{source: from, store: s, progress: newProgress(options.Progress)}
	platform := options.Platform
	if platform.OS == "" {
		platform = image.HostPlatform()
	}
	manifest, m, digest, err := p.manifest(ctx, ref, platform)
	if err != nil {
		return got, explain(ref, err)
	}
	configText, err := p.config(ctx, m.Config)
	if err != nil {
		return got, err
	}
	config, err := image.ParseConfig(configText, m)
	if err != nil {
		return got, err
	}
	// What was not in an index has not been chosen by anybody.
	if err := image.CheckPlatform(config, platform); err != nil {
		return got, fmt.Errorf("%w (--platform %s gets it all the same)", err, image.PlatformOf(config))
	}
	if err := p.layers(ctx, m, config); err != nil {
		return got, err
	}
	isNew, err := s.Publish(j, manifest, configText, ref.String(), digest)
	return Result{digest, isNew}, err
}

// layers gets the layers that are missing, several at a time.
func (p *pull) layers(ctx context.Context, m *v1.Manifest, config *v1.ConfigFile) (err error) {
	if p.unpacker, err = snapshot.NewUnpacker(p.store); err != nil {
		return err
	}
	defer p.progress.erase()
	return p.unpacker.Layers(ctx, config, func(ctx context.Context, i int, diffID v1.Hash) error {
		if err := p.layer(ctx, m.Layers[i], diffID); err != nil {
			return fmt.Errorf("layer %s: %w", m.Layers[i].Digest, err)
		}
		return nil
	})
}

// layer fetches one layer, unless it is there.
func (p *pull) layer(ctx context.Context, blob v1.Descriptor, diffID v1.Hash) (err error) {
	j, err := p.store.Begin(ctx, "blob-"+blob.Digest.Hex) // somebody else may be fetching it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.End()) }()
	if p.store.HasBlob(blob) {
		if err := p.unpacker.Blob(ctx, blob, diffID); err != nil {
			return err
		}
		p.progress.done(blob, "Already exists")
		return nil
	}
	err = whole(ctx, func() error { return p.fetch(ctx, j, blob, diffID) })
	if err == nil {
		p.progress.done(blob, "Pull complete")
	}
	return err
}

// fetch unpacks a layer while it arrives.
func (p *pull) fetch(ctx context.Context, j *store.Job, blob v1.Descriptor, diffID v1.Hash) (err error) {
	body, err := p.blob(ctx, blob)
	if err != nil {
		return err
	}
	defer body.Close()
	file, err := os.Create(j.Path("blob"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := p.unpacker.Stream(ctx, io.TeeReader(body, io.MultiWriter(file, p.progress)), diffID); err != nil {
		return err
	}
	return p.store.AdoptBlob(file.Name(), blob)
}
