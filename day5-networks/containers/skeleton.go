package containers

import (
	"errors"
	"os"
	"path"

	"example.com/go-docker/day5-networks/store"
)

// mountPoints are what we mount on in every container. Images may leave them
// out; made in the container's own layer, they would be part of a commit.
// Docker has the same in a layer of its own for each container (Setup in moby's
// daemon/initlayer).
var mountPoints = []string{"/proc/", "/sys/", "/dev/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}

// skeleton returns a directory with nothing but mount points, to be stacked
// below an image: what the image has itself hides it. It is made at every start,
// which costs less than to find out whether it is complete.
func skeleton(s *store.Store) (string, error) {
	dir := s.Path("skeleton")
	for _, name := range mountPoints {
		above, file := path.Split(name)
		if err := os.MkdirAll(dir+above, 0o755); err != nil {
			return "", err
		}
		if err := os.Chmod(dir+above, 0o755); err != nil { // whatever our umask is
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
