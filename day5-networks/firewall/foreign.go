package firewall

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// An Accept is what was added to a chain of somebody else's that drops what it
// does not know: rules that accept what comes from a bridge of ours, or goes to
// it. Our own chains decide on that; but here an accept of theirs would not be
// final, and a drop is.
type Accept struct {
	Family       byte
	Hook         nftables.ChainHook
	Table, Chain string
	Bridge       string
}

// Foreign sees to it that other people's firewalls let our networks pass, and
// takes back what is no longer needed.
//
// Chains that iptables-nft has made, for Docker and ufw too, get rules of ours
// at the end, where only the policy follows: what they drop with a rule of
// theirs stays dropped. Chains of others, such as firewalld's, belong to programs
// that may forbid it or rewrite them at any time: a warning says what to do.
func (t *Tables) Foreign(c *Changes, networks []Network) error {
	bridges := map[string]bool{}
	for _, n := range networks {
		bridges[n.Bridge] = true
	}
	if err := t.withdraw(c, func(a Accept) bool { return !bridges[a.Bridge] }); err != nil {
		return err
	}
	if len(networks) == 0 {
		return nil
	}
	chains, err := t.conn.ListChains()
	if err != nil {
		return fmt.Errorf("list the nft chains: %w", err)
	}
	for _, chain := range chains {
		if !t.inTheWay(chain) {
			continue
		}
		if !xtables(chain) {
			warn(chain, networks)
			continue
		}
		for _, n := range networks {
			if err := t.permit(c, chain, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// inTheWay tells whether a chain drops what it does not know of what we need: by
// its policy or its last rule.
func (t *Tables) inTheWay(chain *nftables.Chain) bool {
	family := chain.Table.Family
	if chain.Hooknum == nil || *chain.Hooknum != *nftables.ChainHookForward && *chain.Hooknum != *nftables.ChainHookInput ||
		chain.Type != nftables.ChainTypeFilter || chain.Table.Name == t.name ||
		family != nftables.TableFamilyINet && family != nftables.TableFamilyIPv4 && family != nftables.TableFamilyIPv6 {
		return false
	}
	if chain.Policy != nil && *chain.Policy == nftables.ChainPolicyDrop {
		return true
	}
	rules, err := t.conn.GetRules(chain.Table, chain)
	return err == nil && len(rules) > 0 && final(rules[len(rules)-1])
}

// final tells whether a rule drops or rejects whatever comes.
func final(r *nftables.Rule) bool {
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter:
		case *expr.Reject:
			return true
		case *expr.Target: // of iptables
			return e.Name == "REJECT"
		case *expr.Verdict:
			return e.Kind == expr.VerdictDrop
		default:
			return false
		}
	}
	return false
}

// xtables tells whether a chain is one that iptables-nft has made.
func xtables(chain *nftables.Chain) bool {
	return chain.Table.Family != nftables.TableFamilyINet && chain.Table.Name == "filter" &&
		(chain.Name == "FORWARD" || chain.Name == "INPUT")
}

// warn says what the user can do.
func warn(chain *nftables.Chain, networks []Network) {
	family := map[nftables.TableFamily]string{nftables.TableFamilyINet: "inet", nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6"}[chain.Table.Family]
	name := networks[len(networks)-1].Bridge
	what := fmt.Sprintf("nft insert rule %s %s %s iifname %s accept", family, chain.Table.Name, chain.Name, name)
	if *chain.Hooknum == *nftables.ChainHookForward {
		what += fmt.Sprintf("; nft insert rule %s %s %s oifname %s accept", family, chain.Table.Name, chain.Name, name)
	}
	if chain.Table.Name == "firewalld" {
		what = "firewall-cmd --zone=trusted --add-interface=" + name
	}
	logrus.Warnf("the firewall's chain %s %s %s may drop packets of the containers: %s", family, chain.Table.Name, chain.Name, what)
}

// permit adds to a chain the rules that a network needs, unless they are there.
func (t *Tables) permit(c *Changes, chain *nftables.Chain, n Network) error {
	rules, err := t.conn.GetRules(chain.Table, chain)
	if err != nil {
		return fmt.Errorf("list the rules of %s %s: %w", chain.Table.Name, chain.Name, err)
	}
	missing := slices.DeleteFunc(wanted(*chain.Hooknum, n.Bridge), func(w part) bool {
		return slices.ContainsFunc(rules, func(r *nftables.Rule) bool { return same(r.Exprs, w) })
	})
	if len(missing) == 0 {
		return nil
	}
	a := Accept{byte(chain.Table.Family), *chain.Hooknum, chain.Table.Name, chain.Name, n.Bridge}
	if !slices.Contains(c.Accepts, a) {
		c.Accepts = append(c.Accepts, a)
		if err := c.Save(); err != nil {
			return err
		}
	}
	for _, exprs := range missing {
		r := &nftables.Rule{Table: chain.Table, Chain: chain, Exprs: exprs}
		if last := len(rules) - 1; last >= 0 && final(rules[last]) {
			r.Position = rules[last].Handle
			t.conn.InsertRule(r)
		} else {
			t.conn.AddRule(r)
		}
	}
	if err := t.conn.Flush(); err != nil {
		return fmt.Errorf("let network %s through the firewall's chain %s %s: %w", n.Bridge, chain.Table.Name, chain.Name, err)
	}
	logrus.Infof("iptables' chain %s drops what it does not know: rules that accept %s were added, until the network's last container has left", chain.Name, n.Bridge)
	return nil
}

// wanted are the rules, in the form in which iptables -S can show them: in
// FORWARD -i BRIDGE and -o BRIDGE, in INPUT names: --dport 53.
func wanted(hook nftables.ChainHook, bridge string) (rules []part) {
	match := func(key expr.MetaKey) part {
		return part{&expr.Meta{Key: key, Register: unix.NFT_REG_1}, &expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte(bridge + "\x00")}}
	}
	end := part{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept}}
	if hook == *nftables.ChainHookForward {
		return []part{slices.Concat(match(expr.MetaKeyIIFNAME), end), slices.Concat(match(expr.MetaKeyOIFNAME), end)}
	}
	dns, all := [2]uint16{53, 53}, [2]uint16{0, 65535}
	for _, m := range []*expr.Match{
		{Name: "udp", Info: &xt.Udp{SrcPorts: all, DstPorts: dns}},
		{Name: "tcp", Info: &xt.Tcp{SrcPorts: all, DstPorts: dns}},
	} {
		protocol := part{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: unix.NFT_REG_1}, &expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{protocol(m.Name)}}}
		rules = append(rules, slices.Concat(match(expr.MetaKeyIIFNAME), protocol, part{m}, end))
	}
	return rules
}

// same tells whether two rules say the same. What a counter has counted does not
// matter, nor with how many zeros a name ends.
func same(a, b part) bool {
	return slices.EqualFunc(a, b, func(a, b expr.Any) bool {
		switch a := a.(type) {
		case *expr.Meta:
			b, ok := b.(*expr.Meta)
			return ok && a.Key == b.Key
		case *expr.Cmp:
			b, ok := b.(*expr.Cmp)
			return ok && a.Op == b.Op && bytes.Equal(bytes.TrimRight(a.Data, "\x00"), bytes.TrimRight(b.Data, "\x00"))
		case *expr.Match:
			b, ok := b.(*expr.Match)
			return ok && a.Name == b.Name && reflect.DeepEqual(a.Info, b.Info)
		case *expr.Verdict:
			b, ok := b.(*expr.Verdict)
			return ok && a.Kind == b.Kind
		case *expr.Counter:
			_, ok := b.(*expr.Counter)
			return ok
		}
		return false
	})
}

// withdraw takes the rules back that were added for those recorded.
func (t *Tables) withdraw(c *Changes, which func(Accept) bool) error {
	var errs error
	kept := slices.Clone(c.Accepts)
	for _, a := range c.Accepts {
		if !which(a) {
			continue
		}
		table := &nftables.Table{Name: a.Table, Family: nftables.TableFamily(a.Family)}
		chain := &nftables.Chain{Name: a.Chain, Table: table}
		rules, err := t.conn.GetRules(table, chain)
		if err != nil && !errors.Is(err, unix.ENOENT) { // the firewall was flushed
			errs = errors.Join(errs, err)
			continue
		}
		for _, r := range rules {
			if slices.ContainsFunc(wanted(a.Hook, a.Bridge), func(w part) bool { return same(r.Exprs, w) }) {
				errs = errors.Join(errs, t.conn.DelRule(&nftables.Rule{Table: table, Chain: chain, Handle: r.Handle}))
			}
		}
		if err := t.conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = errors.Join(errs, err)
			continue
		}
		kept = slices.DeleteFunc(kept, func(k Accept) bool { return k == a })
	}
	if errs != nil {
		errs = fmt.Errorf("take our rules out of the firewall: %w", errs)
	}
	if len(kept) == len(c.Accepts) {
		return errs
	}
	c.Accepts = kept
	return errors.Join(errs, c.Save())
}
