package firewall

import (
	"errors"
	"io"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// flush makes the changes that t.conn has gathered, all or none.
func (t *Tables) flush() error {
	t.sent = nil
	return errors.Join(t.conn.Flush(), t.sent)
}

// send sends a transaction. nftables.Conn would have each of a hundred messages
// acknowledged, and read that with two system calls: two thirds of the time. One
// answer is enough: what fails is told anyway, before the last message's is.
// nfnetlink_rcv_batch of net/netfilter/nfnetlink.c
//
// The answer is for t.conn: that there is none.
func (t *Tables) send(messages []netlink.Message) ([]netlink.Message, error) {
	messages = slices.Clone(messages)
	for i := range messages {
		h := &messages[i].Header
		h.Flags &^= netlink.Acknowledge
		h.Sequence, h.PID = 0, 0 // the socket's own
	}
	if len(messages) > 2 { // the first and the last one begin and end it
		messages[len(messages)-2].Header.Flags |= netlink.Acknowledge
		_, t.sent = t.asks.SendMessages(messages)
		if t.sent == nil {
			_, t.sent = t.asks.Receive()
		}
	}
	if t.sent != nil { // there may be more answers in the socket
		if fresh, err := netlink.Dial(unix.NETLINK_NETFILTER, nil); err == nil {
			go func(old *netlink.Conn) { _ = old.Close() }(t.asks)
			t.asks = fresh
		}
	}
	return nil, io.EOF
}
