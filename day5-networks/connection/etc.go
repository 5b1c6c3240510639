package connection

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"example.com/go-docker/day5-networks/etc"
	"example.com/go-docker/day5-networks/state"
)

// writeEtc writes /etc/hosts, hostname and resolv.conf. They are mounted in the
// container, one by one, so each has to stay the file that it is.
func (c *Connection) writeEtc() error {
	var addresses, resolvers []netip.Addr
	for _, e := range c.endpoints {
		for _, p := range e.Addresses {
			addresses = append(addresses, p.Addr())
		}
		if e.DNS.IsValid() {
			resolvers = append(resolvers, e.DNS)
		}
	}
	called := []string{c.hostname}
	if name := c.owner().Name; name != "" && name != c.hostname {
		called = append(called, name)
	}
	hosts := etc.Hosts(addresses, called, c.config.Hosts)
	if c.config.Mode == state.HostMode {
		own, err := os.ReadFile("/etc/hosts")
		if err == nil {
			hosts = append(own, c.config.Hosts...)
		}
	}
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the host's resolv.conf: %w", err)
	}
	for name, text := range map[string][]byte{
		"hosts": hosts, "hostname": []byte(c.hostname + "\n"),
		"resolv.conf": etc.ResolvConf(resolvers, resolv, c.config.DNS),
	} {
		if err := os.WriteFile(filepath.Join(c.dir, name), text, 0o644); err != nil {
			return fmt.Errorf("write the container's /etc/%s: %w", name, err)
		}
	}
	return nil
}
