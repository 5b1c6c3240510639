// Package fetch gets images from a registry for the commands pull and run, and
// shows the progress on standard error. The ladder has no rung for it; see
// package registry.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/commands/action"
	"example.com/go-docker/day5-networks/image"
	"example.com/go-docker/day5-networks/registry"
	"example.com/go-docker/day5-networks/store"
)

// PlatformFlag is --platform; usage completes its line in the help.
func PlatformFlag(usage string) urfave.Flag {
	return &urfave.StringFlag{Name: "platform", Usage: "`OS/ARCH[/VARIANT]` " + usage + " (default: this machine's)"}
}

// Platform returns the platform that was asked for, or this machine's.
func Platform(ctx *urfave.Context) (v1.Platform, error) {
	if !ctx.IsSet("platform") {
		return image.HostPlatform(), nil
	}
	p, err := image.ParsePlatform(ctx.String("platform"))
	if err != nil {
		return p, fmt.Errorf("invalid --platform %q: %w", ctx.String("platform"), err)
	}
	return p, nil
}

// InsecureFlag is --insecure-registry.
func InsecureFlag() urfave.Flag {
	return &urfave.StringSliceFlag{Name: "insecure-registry", EnvVars: []string{"GO_DOCKER_INSECURE_REGISTRY"}, Usage: "`HOST[:PORT]` may use http"}
}

// Pull pulls an image and shows the progress on standard error.
func Pull(until context.Context, ctx *urfave.Context, s *store.Store, ref image.Reference) error {
	platform, err := Platform(ctx)
	if err != nil {
		return err
	}
	options := registry.Options{Platform: platform, Insecure: ctx.StringSlice("insecure-registry")}
	if !ctx.Bool("quiet") {
		options.Progress = os.Stderr
	}
	name := image.Familiar(ref.String())
	digest, isNew, err := registry.Pull(until, s, ref, options)
	if err != nil {
		return fmt.Errorf("pull %s: %w", name, err)
	}
	status := "Image is up to date for"
	if isNew {
		status = "Downloaded newer image for"
	}
	if !ctx.Bool("quiet") {
		fmt.Fprintf(os.Stderr, "Digest: %s\nStatus: %s %s\n", digest, status, name)
	}
	return nil
}

// ResolveOrPull finds an image for run, in the store or else in its registry.
func ResolveOrPull(ctx *urfave.Context, s *store.Store, name string) (*store.Image, error) {
	img, err := s.Resolve(name)
	if !errors.Is(err, store.ErrNoImage) || strings.HasPrefix(name, "sha256:") { // an ID: no registry knows it
		return img, err
	}
	ref, err := image.ParseReference(name)
	if err != nil {
		return nil, err
	}
	logrus.Infof("image %s is not in the store: pulling it", name)
	if err := action.Interruptible(func(until context.Context) error { return Pull(until, ctx, s, ref) }); err != nil {
		return nil, err
	}
	return s.Resolve(name)
}
