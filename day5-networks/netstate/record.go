package netstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"example.com/go-docker/day5-networks/address"
	"example.com/go-docker/day5-networks/lock"
)

// A Record is what stands in an endpoint's file.
type Record struct {
	Endpoint
	Boot  string // the boot of the machine in which it is there
	Netns uint64 // the inode of the container's network namespace

	// While it is being made or removed, by who holds the lock, the file's name
	// ends in .pending; when all of it is there, in .json.
	pending bool
}

// Alive tells whether the owner's lock is held.
func (r *Record) Alive() (bool, error) {
	file, err := lock.Probe(r.Lock)
	switch {
	case errors.Is(err, lock.ErrHeld):
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("find out whether container %s lives: %w", r.Name, err)
	}
	return false, file.Close()
}

// Pending tells whether it is being made or removed, or was when somebody was
// killed who did that.
func (r *Record) Pending() bool { return r.pending }

// Ethernet is the MAC address.
func (r *Record) Ethernet() net.HardwareAddr {
	mac, _ := net.ParseMAC(r.MAC) // it was checked when it was chosen
	return mac
}

// LinkAddresses are all that a container's link has: with IPv6 also the one that
// never leaves the network, by which its neighbours know it. RFC 4291, 2.5.6
func (r *Record) LinkAddresses() []netip.Prefix {
	if len(r.Addresses) < 2 {
		return r.Addresses
	}
	return append(slices.Clone(r.Addresses), netip.PrefixFrom(address.LinkLocal(r.Ethernet()), 64))
}

// UDPPorts are the ports of the host that it has published.
func (r *Record) UDPPorts() (ports []uint16) {
	for _, p := range r.Ports {
		if p.Protocol == "udp" {
			ports = append(ports, p.HostPort)
		}
	}
	return ports
}

// file is where an endpoint's record is.
func (s Store) file(r *Record, pending bool) string {
	suffix := ".json"
	if pending {
		suffix = ".pending"
	}
	return s.Path(r.Network, "endpoints", r.ID+suffix)
}

// Write writes a record, as one that is pending. It may be cut short by a kill:
// then it speaks of nothing yet.
func (s Store) Write(r *Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	r.pending = true
	if err := os.WriteFile(s.file(r, true), text, 0o600); err != nil {
		return fmt.Errorf("record the endpoint: %w", err)
	}
	return nil
}

// Rename gives a container another name on all of its networks. Its records are
// never pending for that: they would be taken for those of a dead one.
func (s *Session) Rename(id, name string) error {
	for _, r := range s.Records {
		if r.ID != id || r.pending {
			continue
		}
		r.Name = name
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		whole := s.Path(r.Network, "endpoint"+unfinished) // not among the records
		if err = os.WriteFile(whole, text, 0o600); err == nil {
			err = os.Rename(whole, s.file(r, false))
		}
		if err != nil {
			return fmt.Errorf("rename the endpoint: %w", err)
		}
	}
	return nil
}

// SetPending says whether a record is pending. It is not written a second time: a
// file system such as ext4 writes it to the disk when it replaces another.
func (s Store) SetPending(r *Record, pending bool) error {
	if r.pending == pending {
		return nil
	}
	if err := os.Rename(s.file(r, !pending), s.file(r, pending)); err != nil {
		return fmt.Errorf("record the endpoint: %w", err)
	}
	r.pending = pending
	return nil
}

// ReadRecords reads the records of a network.
func (s Store) ReadRecords(id string) ([]*Record, error) {
	dir := s.Path(id, "endpoints")
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the network's endpoints: %w", err)
	}
	var records []*Record
	for _, e := range entries {
		name, pending := strings.CutSuffix(e.Name(), ".pending")
		r := &Record{pending: pending}
		err := readJSON(filepath.Join(dir, e.Name()), r)
		if errors.Is(err, fs.ErrNotExist) { // it has just gone
			continue
		}
		if notJSON(err) { // cut short, see Write; or by a power cut: of no boot
			r = &Record{pending: pending, Endpoint: Endpoint{Owner: Owner{ID: strings.TrimSuffix(name, ".json")}, Network: id}}
		} else if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

// Live returns the endpoints of a network whose owners live.
func (s Store) Live(id string) ([]Endpoint, error) {
	boot, err := BootID()
	if err != nil {
		return nil, err
	}
	all, err := s.ReadRecords(id)
	if err != nil {
		return nil, err
	}
	var live []Endpoint
	for _, r := range all {
		if r.Boot != boot || r.pending {
			continue
		}
		alive, err := r.Alive()
		if err != nil {
			return nil, err
		}
		if alive {
			live = append(live, r.Endpoint)
		}
	}
	return live, nil
}

// OnRecord returns the endpoints of a network, without asking whether their
// owners live.
func (s Store) OnRecord(id string) ([]Endpoint, error) {
	records, err := s.ReadRecords(id)
	if err != nil {
		return nil, err
	}
	var endpoints []Endpoint
	for _, r := range records {
		if !r.pending {
			endpoints = append(endpoints, r.Endpoint)
		}
	}
	return endpoints, nil
}

// ReadConfigs reads all networks. A directory without a network.json is one that
// is being made or removed, or was.
func (s Store) ReadConfigs() ([]Config, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the networks: %w", err)
	}
	var configs []Config
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		var c Config
		err := readJSON(s.Path(e.Name(), "network.json"), &c)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		configs = append(configs, c)
	}
	return configs, nil
}
