// Package netstate keeps on the disk what networks there are and which container
// has which address on them. It makes nothing in the kernel.
//
// The ladder's addresses stand in the program, 06-bridge; so this has no rung.
//
// Everything is below STORE/networks:
//
//	lock                             held, flock(2), while anything is changed;
//	                                 in it, what was noted then: see Note
//	ID/network.json                  a network: a Config
//	ID/endpoints/CONTAINER.json      a container on it: a Record
//	ID/endpoints/CONTAINER.pending   the same while it is made or removed
//	changed.json                     what was changed on this machine besides
//
// A record is written before what it speaks of is made and removed after it has
// gone. Its owner lives as long as a lock is held, and a record of another boot
// of the machine has nothing in the kernel.
package netstate

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.com/go-docker/day5-networks/lock"
	"example.com/go-docker/day5-networks/ports"
)

// DefaultName is the network of containers that name none.
const DefaultName = "bridge"

// ErrNone says that there is no such network.
var ErrNone = errors.New("no such network")

// A Config is a network as it was made: ID/network.json.
type Config struct {
	Name     string
	ID       string         // 12 hexadecimal digits
	Bridge   string         // the bridge's link name, at most 15 bytes
	Subnets  []netip.Prefix // IPv4, then with IPv6 a ULA
	Ranges   []netip.Prefix // where addresses are taken from, one for each subnet
	Gateways []netip.Addr   // the host's address on the network, one for each subnet
	MTU      int            // bytes; 0: the uplink's when the bridge is made
	Internal bool           // nothing outside is reached
	IPv6     bool
	Labels   map[string]string
	Created  time.Time
}

// An Owner is the container that an endpoint belongs to.
type Owner struct {
	ID   string
	Name string
	Lock string // path of the lock file that is held as long as it lives
}

// An Endpoint is a container's place on a network: ID/endpoints/CONTAINER.json.
type Endpoint struct {
	Owner
	Network       string // the network's ID
	Interface     string // in the container: eth0
	HostInterface string
	MAC           string
	Addresses     []netip.Prefix // IPv4, then IPv6
	Gateways      []netip.Addr   // of the default routes; none: another network has them
	Aliases       []string
	Ports         []ports.Port
	DNS           netip.Addr // where the network's resolver answers
}

// A Store is a directory of networks.
type Store struct {
	Dir           string
	DefaultBridge string // the default network's bridge
	LinkPrefix    string // of the endpoints' links on the host, 7 bytes
}

// Path names a file or directory of a network.
func (s Store) Path(id string, names ...string) string {
	return filepath.Join(append([]string{s.Dir, id}, names...)...)
}

// BootID tells one boot of the machine from another. random(4)
func BootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("find out when the machine was booted: %w", err)
	}
	return string(text[:len(text)-1]), nil
}

// A Session is the time in which one process alone changes networks, and what
// there is then.
type Session struct {
	Store
	Boot    string
	Configs []Config
	Records []*Record // of this boot, on all networks

	lock *os.File
}

// Begin waits for the lock and reads everything. What speaks of another boot is
// removed: it took links, rules and settings with it.
func (s Store) Begin() (_ *Session, err error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory for the networks: %w", err)
	}
	session := &Session{Store: s}
	if session.Boot, err = BootID(); err != nil {
		return nil, err
	}
	if session.lock, err = lock.Wait(s.Path("lock")); err != nil {
		return nil, fmt.Errorf("lock the networks: %w", err)
	}
	if err := session.read(); err != nil {
		session.End()
		return nil, err
	}
	return session, nil
}

// End lets others change networks.
func (s *Session) End() { _ = s.lock.Close() }

func (s *Session) read() (err error) {
	if s.Configs, err = s.ReadConfigs(); err != nil {
		return err
	}
	for _, c := range s.Configs {
		records, err := s.ReadRecords(c.ID)
		if err != nil {
			return err
		}
		for _, r := range records {
			if r.Boot == s.Boot {
				s.Records = append(s.Records, r)
			} else if err := s.Remove(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// Config returns the network with this ID; nil if there is none.
func (s *Session) Config(id string) *Config {
	i := slices.IndexFunc(s.Configs, func(c Config) bool { return c.ID == id })
	if i < 0 {
		return nil
	}
	return &s.Configs[i]
}

// Used tells whether somebody is on the network.
func (s *Session) Used(c *Config) bool {
	return slices.ContainsFunc(s.Records, func(r *Record) bool { return r.Network == c.ID })
}

// Sweep removes what a killed command has left on the disk: directories of
// networks that were not quite made or removed, a file that was not quite written.
func (s *Session) Sweep() error {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return err
	}
	errs := remove(s.Path("changed.json" + unfinished))
	for _, e := range entries {
		if e.IsDir() && s.Config(e.Name()) == nil {
			errs = errors.Join(errs, os.RemoveAll(s.Path(e.Name())))
		}
	}
	return errs
}

// Note returns what the session before has noted, if that was in this boot.
func (s *Session) Note() string {
	text := make([]byte, longestNote)
	n, _ := s.lock.ReadAt(text, 0) // what cannot be read was not noted
	line, _, _ := strings.Cut(string(text[:n]), "\n")
	note, _ := strings.CutPrefix(line, s.Boot+" ")
	if note == line {
		return ""
	}
	return note
}

// longestNote is in bytes.
const longestNote = 200

// SetNote notes something for the next session. The file is not made shorter for
// it: a file system such as ext4 would write it to the disk.
func (s *Session) SetNote(note string) error {
	if _, err := s.lock.WriteAt([]byte(s.Boot+" "+note+"\n"), 0); err != nil {
		return fmt.Errorf("make a note for the next change of networks: %w", err)
	}
	return nil
}

// ReadChanges reads changed.json into v, and nothing if there is none, or one that
// a power cut has left empty: what was changed has gone with that boot.
func (s *Session) ReadChanges(v any) error {
	err := readJSON(s.Path("changed.json"), v)
	if errors.Is(err, fs.ErrNotExist) || notJSON(err) {
		return nil
	}
	return err
}

// WriteChanges writes changed.json; nil removes it.
func (s *Session) WriteChanges(v any) error {
	if v == nil {
		return remove(s.Path("changed.json"))
	}
	return writeJSON(s.Path("changed.json"), v, false)
}
