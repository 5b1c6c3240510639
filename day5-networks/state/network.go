package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"example.com/go-docker/day5-networks/network"
	"example.com/go-docker/day5-networks/ports"
)

const networkFile = "network.json"

// A Network is how a container is to be connected at its next start.
type Network struct {
	Mode        string               // host, none or container:ID; "": Attachments
	Attachments []network.Attachment // eth0 first; none: only lo
	Ports       []ports.Port         // to be published
	Exposed     []ports.Port         // by the image
	DNS         []netip.Addr         // to be asked instead of the host's servers
	Hosts       string               // more lines for /etc/hosts
}

// Modes of a Network.
const (
	HostMode = "host"
	NoneMode = "none"
)

// Peer is the container whose network namespace this one shares, or "".
func (n *Network) Peer() string {
	if id, found := strings.CutPrefix(n.Mode, "container:"); found {
		return id
	}
	return ""
}

// WriteNetwork writes how the container is to be connected. Only who holds its
// lock may call it.
func WriteNetwork(dir string, n *Network) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, networkFile)
	if err = os.WriteFile(path+".new", text, 0o600); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		_ = os.Remove(path + ".new") // it may be there, and empty
		return fmt.Errorf("write how the container is connected: %w", err)
	}
	return nil
}

// ReadNetwork reads what WriteNetwork has written. A container of day 4, whose
// store this may be, has no network.
func ReadNetwork(dir string) (*Network, error) {
	n := new(Network)
	text, err := os.ReadFile(filepath.Join(dir, networkFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &Network{Mode: NoneMode}, nil
	}
	if err == nil {
		err = json.Unmarshal(text, n)
	}
	if err != nil {
		return nil, fmt.Errorf("read how container %s is connected: %w: remove it with rm", filepath.Base(dir), err)
	}
	return n, nil
}
