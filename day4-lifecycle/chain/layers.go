package chain

import (
	"errors"
	"fmt"
	"slices"

	"example.com/go-docker/day4-lifecycle/layer"
	"example.com/go-docker/day4-lifecycle/metadata"
	"golang.org/x/sys/unix"
)

// IsLoose tells whether an unpacked layer has to be settled. Implied directories
// are what they should be if no layer is below: if it is the lowest.
func IsLoose(dir string, lowest bool) (bool, error) {
	loose, err := metadata.MarkOf(unix.AT_FDCWD, dir, layer.LinkMark)
	if err == nil && loose == 0 && !lowest {
		loose, err = metadata.MarkOf(unix.AT_FDCWD, dir, layer.LooseMark)
	}
	return loose != 0, err
}

// CopyTop gives the directory to the metadata of an image's top directory: those
// of the uppermost of its layers, the lowest first, that has an entry for it.
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

// VisibleLayers returns those of an image's layers, the lowest first, that are
// to be stacked. The kernel does not ask whether the top directory of a layer
// is opaque: so what is below such a layer must be left out. Nor does it take
// one directory twice. The upper of the two does all that the lower one did, for
// what was there before and for what came between: only the upper one counts.
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
