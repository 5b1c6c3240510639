// Package ports has the type of a published port; its owner brings the rest.
package ports

import "net/netip"

// A Port is published: what arrives on the host at HostIP:HostPort goes to the
// container's Port.
type Port struct {
	HostIP   netip.Addr
	HostPort uint16
	Port     uint16
	Protocol string // tcp or udp
}
