package machine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// A legacy is a filter table of the kind that iptables had before nft and
// iptables-legacy still has. Such tables can be read only by getsockopt(2), and
// changed only as a whole, which would lose other programs' changes. So we only
// warn.
type legacy struct {
	command, names string
	family, level  int
	entry          int // bytes of struct ipt_entry, ip6t_entry
}

var legacies = []legacy{
	{"iptables-legacy", "/proc/thread-self/net/ip_tables_names", unix.AF_INET, unix.SOL_IP, 112},
	{"ip6tables-legacy", "/proc/thread-self/net/ip6_tables_names", unix.AF_INET6, unix.SOL_IPV6, 168},
}

const (
	getInfo    = 64 // IPT_SO_GET_INFO, linux/netfilter_ipv4/ip_tables.h
	getEntries = 65 // IPT_SO_GET_ENTRIES
	policyDrop = -1 // -NF_DROP - 1
)

// warnOfLegacy says what the user can do about DROP policies in legacy tables.
func warnOfLegacy(bridges []string) error {
	for _, l := range legacies {
		// Asking for a table that does not exist would create it.
		names, err := os.ReadFile(l.names)
		if err != nil || !strings.Contains(string(names), "filter\n") {
			continue
		}
		entries, policy, err := l.read()
		if err != nil {
			return fmt.Errorf("read the filter table of %s: %w", l.command, err)
		}
		for _, bridge := range bridges {
			if policy == policyDrop && !bytes.Contains(entries, []byte(bridge+"\x00")) {
				logrus.Warnf("the FORWARD policy of %s is DROP, and drops packets of the containers: %s -A FORWARD -i %s -j ACCEPT; %s -A FORWARD -o %s -j ACCEPT", l.command, l.command, bridge, l.command, bridge)
			}
		}
	}
	return nil
}

// read returns the filter table's entries, and the verdict of FORWARD's policy.
func (l legacy) read() ([]byte, int32, error) {
	socket, err := unix.Socket(l.family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return nil, 0, err
	}
	defer unix.Close(socket)
	// struct ipt_getinfo: name, valid_hooks, hook_entry[5], underflow[5],
	// num_entries, size
	info := make([]byte, 84)
	copy(info, "filter")
	if err := l.get(socket, getInfo, info); err != nil {
		return nil, 0, err
	}
	policyAt := binary.NativeEndian.Uint32(info[56+4*unix.NF_INET_FORWARD:])
	size := binary.NativeEndian.Uint32(info[80:])
	table := make([]byte, 40+int(size)) // struct ipt_get_entries: name, size, padding
	copy(table, "filter")
	binary.NativeEndian.PutUint32(table[32:], size)
	if err := l.get(socket, getEntries, table); err != nil {
		return nil, 0, err
	}
	entries := table[40:]
	verdict := int(policyAt) + l.entry + 32 // after struct xt_entry_target
	if verdict+4 > len(entries) {
		return nil, 0, fmt.Errorf("its policy is at byte %d of %d", verdict, len(entries))
	}
	return entries, int32(binary.NativeEndian.Uint32(entries[verdict:])), nil
}

func (l legacy) get(socket, option int, value []byte) error {
	size := uint32(len(value))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(socket), uintptr(l.level), uintptr(option),
		uintptr(unsafe.Pointer(&value[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
