package netstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
)

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

// notJSON tells whether the error of readJSON is one of what is in the file.
func notJSON(err error) bool {
	var syntax *json.SyntaxError
	return errors.As(err, &syntax)
}

// unfinished is the end of a name that a file has while it is written.
const unfinished = ".new"

// writeJSON gives a file its content, all of it or none. Only a network outlives
// a power cut, and is written to the disk; what else there is goes with the boot.
func writeJSON(path string, v any, durable bool) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path+unfinished, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil && durable {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(path+unfinished, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(path+unfinished))
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

// ReadConfigs reads all networks, also those that are Damaged. A directory without
// a network.json is one that is being made or removed, or was.
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
		c, err := s.readConfig(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			c = Config{ID: e.Name(), Name: e.Name(), Bridge: bridgePrefix + e.Name()}
			c.Damaged = fmt.Errorf("network %s is damaged: %w: remove it with network rm %s, and make it anew", c.ID, err, c.ID)
		}
		configs = append(configs, c)
	}
	s.findBridge(configs)
	return configs, nil
}

func (s Store) readConfig(id string) (c Config, err error) {
	path := s.Path(id, "network.json")
	if err := readJSON(path, &c); err != nil {
		return c, err
	}
	if n := len(c.Subnets); c.ID != id || c.Name == "" || c.Bridge == "" || n == 0 || len(c.Ranges) != n || len(c.Gateways) != n {
		return c, fmt.Errorf("%s does not describe this network", path)
	}
	return c, nil
}

// findBridge finds out which bridge a damaged network has: if not the one of its
// ID, then that of the default network, unless that is another.
func (s Store) findBridge(configs []Config) {
	for i := range configs {
		c := &configs[i]
		if c.Damaged == nil || slices.ContainsFunc(configs, func(other Config) bool { return other.Bridge == s.DefaultBridge }) {
			continue
		}
		if _, err := net.InterfaceByName(c.Bridge); err != nil {
			c.Bridge = s.DefaultBridge
		}
	}
}
