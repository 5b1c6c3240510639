package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"example.com/go-docker/day5-networks/lock"
)

// A record is what stands in an endpoint's file.
type record struct {
	Endpoint
	Boot  string // the boot of the machine in which it is there
	Netns uint64 // the inode of the container's network namespace

	// While it is being made or removed, by who holds the lock, the file's name
	// ends in .pending; when all of it is there, in .json.
	pending bool
}

// alive tells whether the owner's lock is held.
func (r *record) alive() (bool, error) {
	file, err := lock.Try(r.Lock)
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

func (r *record) mac() net.HardwareAddr {
	mac, _ := net.ParseMAC(r.MAC) // it was checked when it was chosen
	return mac
}

// file is where an endpoint's record is.
func (n *Networks) file(r *record, pending bool) string {
	suffix := ".json"
	if pending {
		suffix = ".pending"
	}
	return n.path(r.Network, "endpoints", r.ID+suffix)
}

// write writes a record, as one that is pending. It may be cut short by a kill:
// then it speaks of nothing yet.
func (n *Networks) write(r *record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	r.pending = true
	if err := os.WriteFile(n.file(r, true), text, 0o600); err != nil {
		return fmt.Errorf("record the endpoint: %w", err)
	}
	return nil
}

// rename says whether a record is pending. It is not written a second time: a
// file system such as ext4 writes it to the disk when it replaces another.
func (n *Networks) rename(r *record, pending bool) error {
	if r.pending == pending {
		return nil
	}
	if err := os.Rename(n.file(r, !pending), n.file(r, pending)); err != nil {
		return fmt.Errorf("record the endpoint: %w", err)
	}
	r.pending = pending
	return nil
}

// readEndpoints reads the records of a network.
func (n *Networks) readEndpoints(id string) ([]*record, error) {
	dir := n.path(id, "endpoints")
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the network's endpoints: %w", err)
	}
	var records []*record
	for _, e := range entries {
		name, pending := strings.CutSuffix(e.Name(), ".pending")
		r := &record{pending: pending}
		err := readJSON(filepath.Join(dir, e.Name()), r)
		if errors.Is(err, fs.ErrNotExist) { // it has just gone
			continue
		}
		if err != nil && pending { // cut short, see write
			r = &record{pending: true, Endpoint: Endpoint{Owner: Owner{ID: name}, Network: id}}
		} else if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

// readConfigs reads all networks. A directory without a network.json is one that
// is being made or removed, or was.
func (n *Networks) readConfigs() ([]Config, error) {
	entries, err := os.ReadDir(n.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the networks: %w", err)
	}
	var configs []Config
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		var c Config
		err := readJSON(n.path(e.Name(), "network.json"), &c)
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

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// writeJSON gives a file its content, all of it or none. Only a network outlives
// a power cut, and is written to the disk; what else there is goes with the boot.
func writeJSON(path string, v any, durable bool) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil && durable {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(path+".new"))
	}
	return nil
}

// remove removes files; one that is not there is no error.
func remove(paths ...string) (errs error) {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}
