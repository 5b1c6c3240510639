package endpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/go-docker/day5-networks/lock"
)

// A Record is an endpoint on the disk. It is written before what it speaks of is
// made, and removed after that has gone.
//
// List fills in what its name says: ID, Network and Addresses. The rest is there
// after Load.
type Record struct {
	Endpoint
	Boot  string // the boot of the machine in which it is there
	Netns uint64 // the inode of the container's network namespace

	dir     string // the directory it is in: NETWORK/endpoints
	name    string // its file's, without the ending
	pending bool   // the ending
	loaded  bool
}

// List finds the records in a directory, without opening one.
func List(dir string) ([]*Record, error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the network's endpoints: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read the network's endpoints: %w", err)
	}
	records, all := make([]Record, len(names)), make([]*Record, len(names))
	for i, file := range names {
		all[i] = &records[i]
		if err := all[i].parse(dir, file); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Load reads what the record's name does not say. The error Is fs.ErrNotExist if
// the record has gone, which happens only to those who do not hold the networks'
// lock.
func (r *Record) Load() error {
	if r.loaded || r.dir == "" { // or new, and not yet written
		return nil
	}
	var content Record
	text, err := os.ReadFile(r.path(r.pending))
	if err == nil {
		var cut *json.SyntaxError
		if err = json.Unmarshal(text, &content); errors.As(err, &cut) {
			content, err = Record{}, nil // see Write; or by a power cut: of no boot
		}
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", r.path(r.pending), err)
	}
	content.ID, content.Network, content.Addresses = r.ID, r.Network, r.Addresses
	r.Endpoint, r.Boot, r.Netns, r.loaded = content.Endpoint, content.Boot, content.Netns, true
	return nil
}

// Alive tells whether the owner lives, in this boot of the machine: whether its
// lock is held. It loads the record.
func (r *Record) Alive(boot string) (bool, error) {
	if err := r.Load(); err != nil {
		return false, err
	}
	if r.Boot != boot {
		return false, nil
	}
	file, err := lock.Probe(r.Lock)
	switch {
	case errors.Is(err, lock.ErrHeld):
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("find out whether container %s lives: %w", r.Called(), err)
	}
	return false, file.Close()
}

// Pending tells whether it is being made or removed, or was when somebody was
// killed who did that.
func (r *Record) Pending() bool { return r.pending }

func (r *Record) path(isPending bool) string {
	if isPending {
		return filepath.Join(r.dir, r.name+pending)
	}
	return filepath.Join(r.dir, r.name+complete)
}

// Write writes a new record into the directory, as one that is pending. It may be
// cut short by a kill: then it speaks of nothing yet.
func (r *Record) Write(dir string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	r.dir, r.name, r.pending, r.loaded = dir, name(&r.Endpoint), true, true
	if err := os.WriteFile(r.path(true), text, 0o600); err != nil {
		return fmt.Errorf("record the endpoint: %w", err)
	}
	return nil
}

// SetPending says whether a record is pending; one that was never written is not.
// It is not written a second time: a file system such as ext4 writes it to the
// disk when it replaces another.
func (r *Record) SetPending(pending bool) error {
	if r.pending == pending || r.dir == "" {
		return nil
	}
	if err := os.Rename(r.path(!pending), r.path(pending)); err != nil {
		return fmt.Errorf("record the endpoint: %w", err)
	}
	r.pending = pending
	return nil
}

// Remove removes a record.
func (r *Record) Remove() error {
	if r.dir == "" {
		return nil
	}
	if err := os.Remove(r.path(r.pending)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Rename gives the container another name. The new file has its place first
// elsewhere, at unfinished, which is not among the records.
func (r *Record) Rename(to, unfinished string) error {
	if err := r.Load(); err != nil {
		return err
	}
	r.Name = to
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err = os.WriteFile(unfinished, text, 0o600); err == nil {
		err = os.Rename(unfinished, r.path(r.pending))
	}
	if err != nil {
		return fmt.Errorf("rename the endpoint: %w", err)
	}
	return nil
}

// OnRecord returns the endpoints in a directory that are complete, without asking
// whether their owners live. It needs no lock.
func OnRecord(dir string) (all []Endpoint, err error) {
	records, err := List(dir)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if r.pending {
			continue
		}
		err := r.Load()
		if errors.Is(err, fs.ErrNotExist) { // it has just gone
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, r.Endpoint)
	}
	return all, nil
}
