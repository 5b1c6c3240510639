package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"example.com/go-docker/day4-lifecycle/image"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Hold keeps an image and its layers in the store for a container that is about
// to start. It ends with release or with our death; from then on it is the
// container's directory that keeps the image.
func (s *Store) Hold(img *Image, containerID string) (release func() error, err error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	index, err := s.ReadIndex()
	if err != nil {
		return nil, err
	}
	there := func(d v1.Descriptor) bool { return d.Digest == img.Descriptor.Digest }
	if !slices.ContainsFunc(index.Manifests, there) { // rmi was quicker
		return nil, fmt.Errorf("%w: %s", ErrNoImage, image.ShortID(img.ID))
	}
	hex := strings.TrimPrefix(img.ID, "sha256:")
	j, err := s.Begin(context.Background(), HoldPrefix+hex+"-"+containerID)
	if err != nil {
		return nil, err
	}
	return j.End, nil
}

const HoldPrefix = "hold-"

// holders returns the IDs of the containers that need an image.
func (s *Store) holders(id string) ([]string, error) {
	hex := strings.TrimPrefix(id, "sha256:")
	holds, err := s.jobs(HoldPrefix + hex + "-")
	if err != nil {
		return nil, err
	}
	var holders []string
	for _, name := range holds {
		holders = append(holders, strings.TrimPrefix(name, HoldPrefix+hex+"-"))
	}
	containers, _, err := s.Containers()
	if err != nil {
		return nil, err
	}
	for _, c := range containers {
		if c.Image == id && !slices.Contains(holders, c.ID) {
			holders = append(holders, c.ID)
		}
	}
	return holders, nil
}

// errHeld is an error when containers need the image.
func (s *Store) errHeld(name, id string) error {
	holders, err := s.holders(id)
	if err != nil || len(holders) == 0 {
		return err
	}
	slices.Sort(holders)
	return fmt.Errorf("image %s is in use by container %s: remove that first (rm)", name, strings.Join(holders, ", "))
}
