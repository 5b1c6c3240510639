package chain

import (
	"errors"
	"fmt"
	"slices"

	"example.com/go-docker/day3-images/layer"
	"example.com/go-docker/day3-images/metadata"
	"golang.org/x/sys/unix"
)

// IsLoose reports whether an unpacked layer has to be settled. In the lowest
// layer, implied directories are right as they are, because nothing is below.
func IsLoose(dir string, lowest bool) (bool, error) {
	loose, err := metadata.MarkOf(unix.AT_FDCWD, dir, layer.LinkMark)
	if err == nil && loose == 0 && !lowest {
		loose, err = metadata.MarkOf(unix.AT_FDCWD, dir, layer.LooseMark)
	}
	return loose != 0, err
}

// CopyTop gives the directory to the metadata of an image's top directory,
// taken from the uppermost layer that has an entry for it. layers are listed
// lowest first.
func CopyTop(layers []string, to string) (err error) {
	u, err := layer.NewUnpacker(to, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	s := &settler{Unpacker: u}
	for _, dir := range slices.Backward(layers) {
		if top, err := metadata.MarkOf(unix.AT_FDCWD, dir, layer.TopMark); err != nil {
			return fmt.Errorf("layer %s: %w", dir, err)
		} else if top != 0 {
			fd, err := metadata.Open(unix.AT_FDCWD, dir)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return s.own(fd, ".")
		}
	}
	return nil
}

// VisibleLayers returns which of an image's layers, lowest first, to stack. The
// kernel ignores an opaque mark on a layer's top directory, so the layers below
// such a layer must be left out. Nor does it accept the same directory twice.
// The upper one does everything that the lower one did and overrides what came
// between, so only the upper one is kept.
func VisibleLayers(dirs []string) ([]string, error) {
	var visible []string
	for _, dir := range slices.Backward(dirs) {
		if slices.Contains(visible, dir) {
			continue
		}
		visible = append(visible, dir)
		opaque, err := metadata.MarkOf(unix.AT_FDCWD, dir, layer.OpaqueXattr)
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", dir, err)
		}
		if opaque == layer.Yes {
			break
		}
	}
	slices.Reverse(visible)
	return visible, nil
}
