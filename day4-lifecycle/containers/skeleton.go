package containers

import (
	"errors"
	"os"
	"path"

	"example.com/go-docker/day4-lifecycle/store"
)

// mountPoints lists the paths that we mount on in every container. Images may
// lack them, and if we made them in the container's own layer they would become
// part of a commit. Docker makes them in an extra layer for each container
// (Setup in moby's daemon/initlayer).
var mountPoints = []string{"/proc/", "/sys/", "/dev/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}

// skeleton returns a directory with only the mount points, to be stacked below
// an image, which hides those that it has itself. It is made at every start,
// because that is cheaper than checking whether it is complete.
func skeleton(s *store.Store) (string, error) {
	dir := s.Path("skeleton")
	for _, name := range mountPoints {
		above, file := path.Split(name)
		if err := os.MkdirAll(dir+above, 0o755); err != nil {
			return "", err
		}
		if err := os.Chmod(dir+above, 0o755); err != nil { // regardless of our umask
			return "", err
		}
		if file == "" {
			continue
		}
		f, err := os.OpenFile(dir+name, os.O_CREATE|os.O_RDONLY, 0o644)
		if err != nil {
			return "", err
		}
		if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
			return "", err
		}
	}
	return dir, nil
}
