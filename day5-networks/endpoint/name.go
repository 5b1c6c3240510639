package endpoint

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"example.com/go-docker/day5-networks/ports"
)

// A record's name is, with commas between them: the container's ID, its addresses
// with their networks' lengths, the numbers of the host's ports that it has
// published, and, if not all of these find room, a plus. After it comes .json or,
// while the endpoint is made or removed, .pending:
//
//	3f9c0a77e2d1,172.18.0.2-16,fd3c:92a1:77b0::2-64,8080,8443.json
const (
	complete = ".json"
	pending  = ".pending"
	more     = "+"

	longestName = 255 // bytes: NAME_MAX, pathconf(3)
)

// name makes the beginning of a record's name.
func name(e *Endpoint) string {
	text := e.ID
	for _, a := range e.Addresses {
		text += "," + strings.ReplaceAll(a.String(), "/", "-")
	}
	var numbers []uint16
	for _, p := range e.Ports {
		numbers = append(numbers, p.HostPort)
	}
	slices.Sort(numbers)
	for _, n := range slices.Compact(numbers) {
		if len(text)+len(",65535,"+more+pending) > longestName {
			return text + "," + more
		}
		text += fmt.Sprintf(",%d", n)
	}
	return text
}

// parse fills in what the name of the record's file says.
func (r *Record) parse(dir, file string) error {
	r.dir, r.Network = dir, filepath.Base(filepath.Dir(dir))
	text, whole := strings.CutSuffix(file, complete)
	if !whole {
		text, r.pending = strings.CutSuffix(file, pending)
	}
	r.name = text
	id, rest, _ := strings.Cut(text, ",")
	r.ID = id
	understood := whole || r.pending
	for part := range strings.SplitSeq(rest, ",") {
		understood = understood && r.understand(part)
	}
	if !understood {
		return fmt.Errorf("%s is not called as an endpoint's record is: remove it", filepath.Join(dir, file))
	}
	return nil
}

// understand takes one of the parts after the ID.
func (r *Record) understand(part string) bool {
	if part == more {
		r.more = true
		return true
	}
	if at := strings.LastIndexByte(part, '-'); at >= 0 {
		p, err := netip.ParsePrefix(part[:at] + "/" + part[at+1:])
		r.Addresses = append(r.Addresses, p)
		return err == nil
	}
	n, err := strconv.ParseUint(part, 10, 16)
	r.numbers = append(r.numbers, uint16(n))
	return err == nil
}

// MayPublish tells, from its name, whether it may have published one of the ports,
// at whichever address and by whichever protocol. If it says no, it has not.
func (r *Record) MayPublish(p []ports.Port) bool {
	return len(p) > 0 && (r.more || slices.ContainsFunc(p, func(p ports.Port) bool { return slices.Contains(r.numbers, p.HostPort) }))
}
