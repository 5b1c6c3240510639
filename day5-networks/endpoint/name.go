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

// understand takes one of the parts after the ID. Numbers of ports are left where
// they are, see MayPublish.
func (r *Record) understand(part string) bool {
	at := strings.IndexByte(part, '-')
	if at < 0 {
		return part == more || part != "" && strings.Trim(part, "0123456789") == ""
	}
	a, err := netip.ParseAddr(part[:at])
	bits, errBits := strconv.ParseUint(part[at+1:], 10, 8)
	p := netip.PrefixFrom(a, int(bits))
	r.Addresses = append(r.Addresses, p)
	return err == nil && errBits == nil && p.IsValid()
}

// MayPublish tells, from its name, whether it may have published one of the ports,
// at whichever address and by whichever protocol. If it says no, it has not.
func (r *Record) MayPublish(p []ports.Port) bool {
	return slices.ContainsFunc(p, func(p ports.Port) bool {
		return strings.HasSuffix(r.name, ","+more) || strings.Contains(r.name+",", ","+strconv.Itoa(int(p.HostPort))+",")
	})
}
