package machine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// An Accept records rules that we added to another program's chain that drops
// unknown packets: they accept packets from or to one of our bridges. Our own
// chains decide about those packets, but an accept in our chains does not
// prevent a drop in another one.
type Accept struct {
	Family       byte
	Hook         nftables.ChainHook
	Table, Chain string
	Bridge       string
}

// foreign holds what is needed to change other people's chains.
type foreign struct {
	conn    *nftables.Conn
	changes *Changes
	table   string // prefix of our own tables' names
}

// Foreign makes other people's firewalls let these bridges' packets pass, and
// takes back rules that are no longer needed. table is the prefix of our own
// tables' names.
//
// Chains made by iptables-nft, also for Docker and ufw, get our rules at the
// end, where only the policy or a final drop follows, so that whatever their
// other rules drop stays dropped. Other chains, such as firewalld's, belong to
// programs that may forbid this or rewrite them at any time, so a warning says
// what to do. The same goes for iptables-legacy.
func (c *Changes) Foreign(table string, bridges []string) error {
	if len(bridges) == 0 && len(c.Accepts) == 0 {
		return nil
	}
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("open a netlink socket for nft: %w", err)
	}
	defer func() { go func() { _ = conn.CloseLasting() }() }() // like firewall.Tables
	f := &foreign{conn, c, table}
	if err := f.withdraw(func(a Accept) bool { return !slices.Contains(bridges, a.Bridge) }); err != nil {
		return err
	}
	if len(bridges) == 0 {
		return nil
	}
	if err := warnOfLegacy(bridges); err != nil {
		return err
	}
	chains, err := f.conn.ListChains()
	if err != nil {
		return fmt.Errorf("list the nft chains: %w", err)
	}
	for _, chain := range chains {
		if !f.inTheWay(chain) {
			continue
		}
		if !xtables(chain) {
			f.warn(chain, bridges)
			continue
		}
		for _, bridge := range bridges {
			if err := f.permit(chain, bridge); err != nil {
				return err
			}
		}
	}
	return nil
}

// inTheWay reports whether a chain may drop packets of ours because it does not
// know them, by its policy or its last rule.
func (f *foreign) inTheWay(chain *nftables.Chain) bool {
	family := chain.Table.Family
	if chain.Hooknum == nil || *chain.Hooknum != *nftables.ChainHookForward && *chain.Hooknum != *nftables.ChainHookInput ||
		chain.Type != nftables.ChainTypeFilter || strings.HasPrefix(chain.Table.Name, f.table) ||
		family != nftables.TableFamilyINet && family != nftables.TableFamilyIPv4 && family != nftables.TableFamilyIPv6 {
		return false
	}
	if chain.Policy != nil && *chain.Policy == nftables.ChainPolicyDrop {
		return true
	}
	rules, err := f.conn.GetRules(chain.Table, chain)
	return err == nil && len(rules) > 0 && final(rules[len(rules)-1])
}

// warn says what the user can do, unless that has been done.
func (f *foreign) warn(chain *nftables.Chain, bridges []string) {
	family := map[nftables.TableFamily]string{nftables.TableFamilyINet: "inet", nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6"}[chain.Table.Family]
	for _, bridge := range bridges {
		if f.mentions(chain.Table, bridge) {
			continue
		}
		insert := fmt.Sprintf("nft insert rule %s %s %s", family, chain.Table.Name, chain.Name)
		what := fmt.Sprintf("%s iifname %s accept; %s oifname %s accept", insert, bridge, insert, bridge)
		if *chain.Hooknum == *nftables.ChainHookInput {
			what = fmt.Sprintf("%s iifname %s meta l4proto { tcp, udp } th dport 53 accept", insert, bridge)
		}
		if chain.Table.Name == "firewalld" {
			what = "firewall-cmd --zone=trusted --add-interface=" + bridge
		}
		logrus.Warnf("the firewall's chain %s %s %s may drop packets of the containers: %s", family, chain.Table.Name, chain.Name, what)
	}
}

// permit adds the rules that a network needs to a chain, unless it has them.
func (f *foreign) permit(chain *nftables.Chain, bridge string) error {
	rules, err := f.conn.GetRules(chain.Table, chain)
	if err != nil {
		return fmt.Errorf("list the rules of %s %s: %w", chain.Table.Name, chain.Name, err)
	}
	missing := slices.DeleteFunc(wanted(*chain.Hooknum, bridge), func(w part) bool {
		return slices.ContainsFunc(rules, func(r *nftables.Rule) bool { return same(r.Exprs, w) })
	})
	if len(missing) == 0 {
		return nil
	}
	a := Accept{byte(chain.Table.Family), *chain.Hooknum, chain.Table.Name, chain.Name, bridge}
	if !slices.Contains(f.changes.Accepts, a) {
		f.changes.Accepts = append(f.changes.Accepts, a)
		if err := f.changes.Save(); err != nil {
			return err
		}
	}
	for _, exprs := range missing {
		r := &nftables.Rule{Table: chain.Table, Chain: chain, Exprs: exprs}
		if last := len(rules) - 1; last >= 0 && final(rules[last]) {
			r.Position = rules[last].Handle
			f.conn.InsertRule(r)
		} else {
			f.conn.AddRule(r)
		}
	}
	if err := f.conn.Flush(); err != nil {
		return fmt.Errorf("let network %s through the firewall's chain %s %s: %w", bridge, chain.Table.Name, chain.Name, err)
	}
	logrus.Infof("iptables' chain %s drops what it does not know: rules that accept %s were added, until the network's last container has left", chain.Name, bridge)
	return nil
}

// withdraw removes the rules of the recorded Accepts that which selects.
func (f *foreign) withdraw(which func(Accept) bool) error {
	var errs error
	kept := slices.Clone(f.changes.Accepts)
	for _, a := range f.changes.Accepts {
		if !which(a) {
			continue
		}
		table := &nftables.Table{Name: a.Table, Family: nftables.TableFamily(a.Family)}
		chain := &nftables.Chain{Name: a.Chain, Table: table}
		rules, err := f.conn.GetRules(table, chain)
		if err != nil && !errors.Is(err, unix.ENOENT) { // the firewall was flushed
			errs = errors.Join(errs, err)
			continue
		}
		for _, r := range rules {
			if slices.ContainsFunc(wanted(a.Hook, a.Bridge), func(w part) bool { return same(r.Exprs, w) }) {
				errs = errors.Join(errs, f.conn.DelRule(&nftables.Rule{Table: table, Chain: chain, Handle: r.Handle}))
			}
		}
		if err := f.conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = errors.Join(errs, err)
			continue
		}
		kept = slices.DeleteFunc(kept, func(k Accept) bool { return k == a })
	}
	if errs != nil {
		errs = fmt.Errorf("take our rules out of the firewall: %w", errs)
	}
	if len(kept) == len(f.changes.Accepts) {
		return errs
	}
	f.changes.Accepts = kept
	return errors.Join(errs, f.changes.Save())
}
