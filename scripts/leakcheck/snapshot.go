package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/go-docker/scripts/internal/ours"
	"github.com/moby/sys/mountinfo"
)

var grace = 10 * time.Second // shorter in the tests

// A snapshot has a line for everything that could be left behind. The key is
// what makes a thing the same thing in both snapshots, and is often the line
// itself.
type snapshot struct {
	things    map[string]string // key: line to print
	named     map[string]string // those of things that are ours by their name only, and the name
	mounts    map[string]string
	processes []ours.Process
}

func takeSnapshot(b *sandbox) (*snapshot, error) {
	s := &snapshot{things: map[string]string{}, named: map[string]string{}, mounts: map[string]string{}}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, fmt.Errorf("read the mount table: %w", err)
	}
	err = errors.Join(
		s.addCgroups(mounts),
		s.addHierarchies(),
		s.addEntries("temp", b.temp),
	)
	if b.private {
		s.addMounts(mounts)
		err = errors.Join(err, s.addLinks(), s.addTables(), s.addSettings(), s.addIPC(), s.addEntries("temp", "/dev/shm"),
			s.addEntries("record", "/run/go-docker"), s.addEntries("store", os.Getenv("GO_DOCKER_ROOT")))
	} else {
		err = errors.Join(err, s.addOurs("/tmp"), s.addEntries("record", filepath.Join(b.dir, "run", "go-docker")),
			s.addEntries("store", filepath.Join(b.dir, "store")))
	}
	if err != nil {
		return nil, err
	}
	s.processes, err = descendants() // last: whoever made something that we saw must not be missing
	return s, err
}

func (s *snapshot) add(kind, name string) string {
	line := kind + " " + name
	s.things[line] = line
	return line
}

// addMounts takes every field as the key: a changed propagation or a remount
// is a change. The mount ID tells apart two mounts on the same place.
func (s *snapshot) addMounts(mounts []*mountinfo.Info) {
	for _, m := range mounts {
		line := fmt.Sprintf("mount %s on %s type %s (%s) %s", m.Source, m.Mountpoint, m.FSType, m.Options, m.Optional)
		if m.FSType == "nsfs" { // a file of /proc/PID/ns, bind-mounted: namespaces(7)
			line = fmt.Sprintf("namespace %s kept alive by the mount on %s", m.Root, m.Mountpoint)
		}
		s.mounts[fmt.Sprintf("%+v", *m)] = strings.TrimSpace(line)
	}
}

func (s *snapshot) addCgroups(mounts []*mountinfo.Info) error {
	seen := map[string]bool{}
	for _, m := range mounts {
		// A hierarchy may be mounted many times; once is enough.
		key := fmt.Sprintf("%d:%d %s", m.Major, m.Minor, m.Root)
		if seen[key] || (m.FSType != "cgroup" && m.FSType != "cgroup2") {
			continue
		}
		seen[key] = true
		if err := s.addCgroupsBelow(m.Mountpoint); err != nil {
			return fmt.Errorf("list cgroups in %s: %w", m.Mountpoint, err)
		}
	}
	return nil
}

func (s *snapshot) addCgroupsBelow(top string) error {
	return filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if unseen(err) {
			return fs.SkipDir
		}
		if err == nil && d.IsDir() && ours.Name(path) != "" {
			s.named[s.add("cgroup", path)] = path
		}
		return err
	})
}

// addHierarchies finds what no mount shows: a v1 hierarchy lives on without a
// mount as long as it has a cgroup besides its root (cgroups(7), "Unmounting a
// v1 controller"). /proc/self/cgroup has a line for each that is alive.
func (s *snapshot) addHierarchies() error {
	return eachLine("/proc/self/cgroup", func(line string) {
		_, rest, _ := strings.Cut(line, ":") // the number may change, the name does not
		name, _, _ := strings.Cut(rest, ":")
		if ours.Name(strings.TrimPrefix(name, "name=")) != "" {
			s.named[s.add("hierarchy", name)] = name
		}
	})
}

func (s *snapshot) addLinks() error {
	links, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list network links: %w", err)
	}
	for _, l := range links {
		s.add("link", l.Name)
	}
	return nil
}

// addTables adds the tables of nft, which are those of iptables, too. Without that
// program nobody here makes any.
func (s *snapshot) addTables() error {
	out, err := exec.Command("nft", "list", "tables").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the nft tables: %w", err)
	}
	for sc := bufio.NewScanner(bytes.NewReader(out)); sc.Scan(); {
		s.add("nft", sc.Text())
	}
	return nil
}

// addSettings adds what is switched on for routing between links. ip-sysctl.rst
func (s *snapshot) addSettings() error {
	for _, path := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
		value, err := os.ReadFile(path)
		if unseen(err) { // a kernel without IPv6
			continue
		}
		if err != nil {
			return err
		}
		s.add("setting", path+" "+strings.TrimSpace(string(value)))
	}
	return nil
}

func (s *snapshot) addEntries(kind, dir string) error {
	entries, err := os.ReadDir(dir)
	if unseen(err) {
		return nil
	}
	for _, e := range entries {
		s.add(kind, filepath.Join(dir, e.Name()))
	}
	return err
}

// addOurs adds what is ours in a directory that we share with others.
func (s *snapshot) addOurs(dir string) error {
	entries, err := os.ReadDir(dir)
	if unseen(err) {
		return nil
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || ours.Name(e.Name()) == "" || strings.HasPrefix(e.Name(), "go-docker-box-") {
			continue // an error: it has gone. A box: another leakcheck's
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) == os.Geteuid() {
			path := filepath.Join(dir, e.Name())
			s.named[s.add("temp", path)] = path
		}
	}
	return err
}

// addIPC: the second column of each of these files is the object's id, see
// sysvipc(7).
func (s *snapshot) addIPC() error {
	files, err := filepath.Glob("/proc/sysvipc/*")
	if err != nil {
		return err
	}
	for _, file := range files {
		err := eachLine(file, func(line string) {
			if f := strings.Fields(line); len(f) > 1 && f[0] != "key" {
				s.add("ipc", fmt.Sprintf("%s id %s key %s", filepath.Base(file), f[1], f[0]))
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unseen: a directory that vanished during the walk, or that this user
// may not read. Where we cannot look, the command cannot write either, having
// no more rights than we have.
func unseen(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

func eachLine(file string, f func(string)) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for sc := bufio.NewScanner(bytes.NewReader(data)); sc.Scan(); {
		f(sc.Text())
	}
	return nil
}

// leaks looks again and again until nothing differs or the grace is over. A
// thing counts if every look saw it, so what others make meanwhile does not;
// a process counts if the last look saw it, because one that keeps forking has
// another number each time.
func (s *snapshot) leaks(b *sandbox, others map[string]bool, ignore []*regexp.Regexp) ([]string, error) {
	ignored := func(line string) bool {
		return slices.ContainsFunc(ignore, func(re *regexp.Regexp) bool { return re.MatchString(line) })
	}
	now, err := takeSnapshot(b)
	if err != nil {
		return nil, err
	}
	things := slices.DeleteFunc(s.difference(now, others), ignored)
	end := time.Now().Add(grace)
	for wait := 5 * time.Millisecond; ; wait *= 2 {
		processes := slices.DeleteFunc(s.newProcesses(now), ignored)
		left := time.Until(end)
		if len(things)+len(processes) == 0 || left <= 0 {
			return append(things, processes...), nil
		}
		time.Sleep(min(wait, left))
		if now, err = takeSnapshot(b); err != nil {
			return nil, err
		}
		still := s.difference(now, others)
		things = slices.DeleteFunc(things, func(line string) bool { return !slices.Contains(still, line) })
	}
}

func (s *snapshot) difference(now *snapshot, others map[string]bool) []string {
	things := added(s.things, now.things)
	machine := ours.Among(now.processes)
	things = slices.DeleteFunc(things, func(line string) bool {
		name, isNamed := now.named[line]
		return isNamed && (others[ours.Name(name)] || machine.Own(name))
	})
	lines := slices.Concat(things, added(s.mounts, now.mounts))
	for _, gone := range added(now.mounts, s.mounts) {
		lines = append(lines, "gone: "+gone)
	}
	return lines
}

func (s *snapshot) newProcesses(now *snapshot) []string {
	old := s.pids()
	var lines []string
	for _, p := range now.processes {
		if !old[p.PID] && !p.Zombie { // those that have ended only have to be reaped
			lines = append(lines, p.String())
		}
	}
	return lines
}

func added(before, after map[string]string) []string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if _, ok := before[key]; !ok {
			lines = append(lines, after[key])
		}
	}
	return lines
}

// pids are the processes that were there before the command: a program that
// was put in the background and then exec'ed us, for one.
func (s *snapshot) pids() map[int]bool {
	m := map[int]bool{}
	for _, p := range s.processes {
		m[p.PID] = true
	}
	return m
}

// watchOthers looks once a second for what has a name of ours and is somebody
// else's. What it returns ends that, and gives the names: they do not count
// even if their owner has died since.
func watchOthers() func() map[string]bool {
	others, last := map[string]bool{}, map[string]bool{}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(min(grace/3, time.Second)):
			}
			now := namesOfOthers()
			for name := range now {
				if last[name] { // twice: a process may get another parent while we look
					others[name] = true
				}
			}
			last = now
		}
	}()
	return func() map[string]bool {
		close(stop)
		<-stopped
		return others
	}
}

// namesOfOthers has nothing to say about errors: takeSnapshot will say them.
func namesOfOthers() map[string]bool {
	found := map[string]bool{}
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return found
	}
	s := &snapshot{things: map[string]string{}, named: map[string]string{}}
	if s.addCgroups(mounts) != nil {
		return found
	}
	descendants, err := ours.Descendants() // after the cgroups, or their makers may be missing
	if err != nil {
		return found
	}
	machine := ours.Among(descendants)
	for _, path := range s.named {
		if machine.Own(path) {
			found[ours.Name(path)] = true
		}
	}
	return found
}
