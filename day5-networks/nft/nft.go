// Package nft talks to the kernel's nftables: it sends a transaction with one
// message each way, and asks how many there have been.
//
// The ladder has no rung for it: its programs leave this to a library, which is
// slower.
package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Conn holds sockets in a network namespace. Commit sends what the embedded
// Conn has gathered.
type Conn struct {
	*nftables.Conn
	lists *nftables.Conn
	asks  *netlink.Conn
	sent  error // the last transaction's error
}

// Open opens the sockets in the network namespace of the calling thread.
func Open() (*Conn, error) {
	c := new(Conn)
	var errs [3]error
	c.lists, errs[0] = nftables.New(nftables.AsLasting())
	c.asks, errs[1] = netlink.Dial(unix.NETLINK_NETFILTER, nil)
	c.Conn, errs[2] = nftables.New(nftables.AsLasting(), nftables.WithTestDial(c.send))
	if err := errors.Join(errs[:]...); err != nil {
		c.Close()
		return nil, fmt.Errorf("open a netlink socket for nft: %w", err)
	}
	return c, nil
}

// Close closes the sockets without waiting. On close the kernel first frees
// what transactions have removed, after an RCU grace period: 5 to 15 ms, in
// which a container could start. nft_rcv_nl_event in
// net/netfilter/nf_tables_api.c
func (c *Conn) Close() {
	go func() {
		if c.lists != nil {
			_ = c.lists.CloseLasting()
		}
		if c.asks != nil {
			_ = c.asks.Close()
		}
	}()
}

// Tables lists the tables of a family.
func (c *Conn) Tables(family nftables.TableFamily) ([]*nftables.Table, error) {
	tables, err := c.lists.ListTablesOfFamily(family)
	if err != nil {
		return nil, fmt.Errorf("list the nft tables: %w", err)
	}
	return tables, nil
}

// Exist tells whether there are tables with this name in the families inet and bridge.
func Exist(name string) (bool, error) {
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return false, fmt.Errorf("open a netlink socket for nft: %w", err)
	}
	defer func() { _ = conn.CloseLasting() }() // it has changed nothing, and so closes at once
	for _, family := range []nftables.TableFamily{nftables.TableFamilyINet, nftables.TableFamilyBridge} {
		if _, err := conn.ListTableOfFamily(name, family); errors.Is(err, unix.ENOENT) {
			return false, nil
		} else if err != nil {
			return false, fmt.Errorf("look for the nft table %s: %w", name, err)
		}
	}
	return true, nil
}

// Commit makes the gathered changes, all of them or none.
func (c *Conn) Commit() error {
	c.sent = nil
	return errors.Join(c.Flush(), c.sent)
}

// send sends a transaction. nftables.Conn would ask for an acknowledgement of
// each of a hundred messages and read it with two system calls, which is two
// thirds of the time. One is enough: the kernel reports errors in any case, and
// before it acknowledges the last message. nfnetlink_rcv_batch in
// net/netfilter/nfnetlink.c
//
// nftables.Conn takes what send returns as the kernel's answers, of which there
// are none.
func (c *Conn) send(messages []netlink.Message) ([]netlink.Message, error) {
	messages = slices.Clone(messages)
	for i := range messages {
		h := &messages[i].Header
		h.Flags &^= netlink.Acknowledge
		h.Sequence, h.PID = 0, 0 // for the socket to fill in
	}
	if len(messages) > 2 { // the first and the last begin and end the transaction
		messages[len(messages)-2].Header.Flags |= netlink.Acknowledge
		if c.sent = c.makeRoom(messages); c.sent == nil {
			_, c.sent = c.asks.SendMessages(messages)
		}
		if c.sent == nil {
			_, c.sent = c.asks.Receive()
		}
	}
	if c.sent != nil {
		c.sent = errors.Join(c.sent, c.renew())
	}
	return nil, io.EOF
}

// makeRoom makes sure that a transaction fits in the socket's buffer, which
// must hold all of it: a published port needs about a hundred bytes, so the
// usual 208 KiB hold two thousand. netlink_sendmsg in net/netlink/af_netlink.c
func (c *Conn) makeRoom(messages []netlink.Message) error {
	const usual = 64 << 10 // always available
	bytes := 0
	for _, m := range messages {
		bytes += unix.NLMSG_HDRLEN + len(m.Data) + unix.NLMSG_ALIGNTO
	}
	if bytes <= usual {
		return nil
	}
	if err := c.asks.SetWriteBuffer(bytes + usual); err != nil {
		return fmt.Errorf("make room for a transaction of %d bytes: %w", bytes, err)
	}
	return nil
}

// renew opens another socket, because the old one may have more answers.
func (c *Conn) renew() error {
	fresh, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return fmt.Errorf("open a netlink socket for nft: %w", err)
	}
	go func(old *netlink.Conn) { _ = old.Close() }(c.asks)
	c.asks = fresh
	return nil
}

// Generation returns how often anybody has changed nft in this network
// namespace, and the namespace's cookie, which is unique. The cookie is 0
// before Linux 5.14.
func (c *Conn) Generation() (generation uint32, cookie uint64, err error) {
	raw, err := c.asks.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			cookie, _ = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
		})
	}
	if err == nil {
		generation, err = c.generation()
	}
	if err != nil { // it was an answer to something else
		if err = c.renew(); err == nil {
			generation, err = c.generation()
		}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("ask for nft's generation: %w", err)
	}
	return generation, cookie, nil
}

func (c *Conn) generation() (uint32, error) {
	replies, err := c.asks.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: netlink.Request},
		Data:   make([]byte, 4), // struct nfgenmsg
	})
	if err != nil {
		return 0, err
	}
	for _, reply := range replies {
		if len(reply.Data) < 4 {
			continue
		}
		attributes, err := netlink.UnmarshalAttributes(reply.Data[4:])
		if err != nil {
			return 0, err
		}
		for _, a := range attributes {
			if a.Type == unix.NFTA_GEN_ID && len(a.Data) == 4 {
				return binary.BigEndian.Uint32(a.Data), nil
			}
		}
	}
	return 0, errors.New("there is none in the answer")
}
