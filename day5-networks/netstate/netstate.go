// Package netstate keeps on the disk what networks there are and which container
// has which address on them. It makes nothing in the kernel.
//
// The ladder's addresses stand in the program, 06-bridge; so this has no rung.
//
// Everything is below STORE/networks:
//
//	lock                     held, flock(2), while anything is changed; in it,
//	                         what was noted then: see Note
//	ID/network.json          a network: a Config
//	ID/endpoints/*.json      the containers on it: see endpoint.Record
//	ID/endpoints/*.pending   the same while they are made or removed
//	changed.json             what was changed on this machine besides
//
// The owner of a record lives as long as a lock is held, and a record of another
// boot of the machine has nothing in the kernel.
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

	"example.com/go-docker/day5-networks/boot"
	"example.com/go-docker/day5-networks/endpoint"
	"example.com/go-docker/day5-networks/lock"
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
	Created  time.Time

	// Damaged says that its file cannot be used, and what to do; else it is nil.
	// Of such a network there are only the ID, which is its Name too, and the
	// Bridge.
	Damaged error `json:"-"`
}

// What is on record of a container.
type (
	Owner    = endpoint.Owner
	Endpoint = endpoint.Endpoint
	Record   = endpoint.Record
)

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

// A Session is the time in which one process alone changes networks, and what
// there is then.
type Session struct {
	Store
	Boot    string
	Configs []Config
	Records []*Record // on all networks; not loaded, see endpoint.Record

	lock *os.File
}

// Begin waits for the lock and reads what there is, of a record its name. If the
// session before was in another boot of the machine, what speaks of that is
// removed: it took links, rules and settings with it.
func (s Store) Begin() (_ *Session, err error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory for the networks: %w", err)
	}
	session := &Session{Store: s}
	if session.Boot, err = boot.ID(); err != nil {
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
		records, err := endpoint.List(s.endpoints(c.ID))
		if err != nil {
			return err
		}
		s.Records = append(s.Records, records...)
	}
	if _, thisBoot := s.noted(); thisBoot {
		return nil
	}
	if err := s.removeOld(); err != nil {
		return err
	}
	return s.SetNote("")
}

// removeOld removes the records of other boots.
func (s *Session) removeOld() error {
	if err := s.Load(); err != nil {
		return err
	}
	var errs error
	s.Records = slices.DeleteFunc(s.Records, func(r *Record) bool {
		if r.Boot == s.Boot {
			return false
		}
		errs = errors.Join(errs, r.Remove())
		return true
	})
	return errs
}

// Load loads all records.
func (s *Session) Load() error {
	for _, r := range s.Records {
		if err := r.Load(); err != nil {
			return err
		}
	}
	return nil
}

// endpoints is where a network's records are.
func (s Store) endpoints(id string) string { return s.Path(id, "endpoints") }

// OnRecord returns the endpoints of a network, without asking whether their
// owners live.
func (s Store) OnRecord(id string) ([]Endpoint, error) { return endpoint.OnRecord(s.endpoints(id)) }

// Write writes a new record.
func (s *Session) Write(r *Record) error { return r.Write(s.endpoints(r.Network)) }

// Rename gives a container another name on all of its networks. Its records are
// never pending for that: they would be taken for those of a dead one.
func (s *Session) Rename(id, name string) error {
	for _, r := range s.Records {
		if r.ID != id || r.Pending() {
			continue
		}
		if err := r.Rename(name, s.Path(r.Network, "endpoint"+unfinished)); err != nil {
			return err
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

// Bridges are those whose subnets are known. What a network has that is Damaged,
// only the machine's routes tell.
func (s *Session) Bridges() map[string]bool {
	bridges := map[string]bool{}
	for _, c := range s.Configs {
		if c.Damaged == nil {
			bridges[c.Bridge] = true
		}
	}
	return bridges
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
	note, _ := s.noted()
	return note
}

func (s *Session) noted() (note string, thisBoot bool) {
	text := make([]byte, longestNote)
	n, _ := s.lock.ReadAt(text, 0) // what cannot be read was not noted
	line, _, _ := strings.Cut(string(text[:n]), "\n")
	return strings.CutPrefix(line, s.Boot+" ")
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
