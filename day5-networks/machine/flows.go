package machine

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// few is up to how many ports the kernel goes through its table for each port,
// 0.3 ms; for more ports we read the table once.
const few = 32

// ForgetUDP makes the kernel forget the UDP flows to these ports of the host. A
// flow never ends while packets keep coming, and they all go where the first
// one went: to a container that no longer exists, or to none, even if one has
// published the port since. TCP connections end with their endpoints.
func ForgetUDP(ports []uint16) error {
	var errs error
	for i := 0; i < len(ports) && len(ports) <= few; i++ {
		for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
			errs = errors.Join(errs, forget(family, ports[i]))
		}
	}
	if len(ports) > few || errors.Is(errs, unix.EINVAL) {
		errs = forgetOneByOne(ports)
	}
	if errs != nil {
		return fmt.Errorf("forget old UDP flows to the published ports: %w", errs)
	}
	return nil
}

// What netlink.CustomConntrackFilter lacks: CTA_FILTER in
// linux/netfilter/nfnetlink_conntrack.h, and its flags in
// net/netfilter/nf_internals.h.
const (
	ctaFilter      = 25
	ctaOrigFlags   = 1
	byProtocol     = 1 << 3
	byDestPort     = 1 << 5
	deleteFlows    = unix.NFNL_SUBSYS_CTNETLINK<<8 | nl.IPCTNL_MSG_CT_DELETE
	ctaOrigTuple   = nl.CTA_TUPLE_ORIG | unix.NLA_F_NESTED
	ctaTupleProto  = nl.CTA_TUPLE_PROTO | unix.NLA_F_NESTED
	ctaFilterOuter = ctaFilter | unix.NLA_F_NESTED
)

// forget makes the kernel itself look for the flows, which works since Linux
// 6.12 and is EINVAL before. The kernel goes through its table and skips empty
// buckets.
func forget(family byte, port uint16) error {
	request := nl.NewNetlinkRequest(deleteFlows, unix.NLM_F_ACK)
	request.AddData(&nl.Nfgenmsg{NfgenFamily: family, Version: nl.NFNETLINK_V0})
	tuple := nl.NewRtAttr(ctaOrigTuple, nil)
	transport := tuple.AddRtAttr(ctaTupleProto, nil)
	transport.AddRtAttr(nl.CTA_PROTO_NUM, []byte{unix.IPPROTO_UDP})
	transport.AddRtAttr(nl.CTA_PROTO_DST_PORT, binary.BigEndian.AppendUint16(nil, port))
	filter := nl.NewRtAttr(ctaFilterOuter, nil)
	filter.AddRtAttr(ctaOrigFlags, binary.NativeEndian.AppendUint32(nil, byProtocol|byDestPort))
	request.AddData(tuple)
	request.AddData(filter)
	_, err := request.Execute(unix.NETLINK_NETFILTER, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// forgetOneByOne reads all flows, which takes 10 ms for a table of 262,144
// buckets, and removes those to the ports.
func forgetOneByOne(ports []uint16) error {
	var filters []netlink.CustomConntrackFilter
	for _, port := range ports {
		filter := &netlink.ConntrackFilter{}
		if err := filter.AddProtocol(unix.IPPROTO_UDP); err != nil {
			return err
		}
		if err := filter.AddPort(netlink.ConntrackOrigDstPort, port); err != nil {
			return err
		}
		filters = append(filters, filter)
	}
	handle, err := netlink.NewHandle(unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("open a netlink socket for conntrack: %w", err)
	}
	defer func() { go handle.Close() }() // like firewall.Tables
	flows, err := handle.ConntrackTableList(netlink.ConntrackTable, unix.AF_UNSPEC)
	found := map[netlink.InetFamily]bool{}
	for _, flow := range flows {
		for _, filter := range filters {
			if filter.MatchConntrackFlow(flow) {
				found[netlink.InetFamily(flow.FamilyType)] = true
			}
		}
	}
	for family := range found {
		_, e := handle.ConntrackDeleteFilters(netlink.ConntrackTable, family, filters...)
		err = errors.Join(err, e)
	}
	return err
}
