package firewall

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Change is Replace for a description that differs from the previous one only
// in endpoints that have come and gone. Those are elements of sets, so it takes
// a few messages instead of a hundred, and a container starts just as fast with
// two hundred others.
//
// The mark is what the last Replace or Change returned, in any process. If the
// tables may have changed since then, Change does nothing and returns false;
// Replace then sets them right.
func (t *Tables) Change(mark string, d Description, come, gone []Endpoint) (string, bool, error) {
	before, err := t.mark(d)
	if err != nil || before.text != mark || mark == "" {
		return "", false, err
	}
	if len(come)+len(gone) == 0 { // the kernel does not count an empty transaction
		return mark, true, nil
	}
	inet := &writer{conn: t.conn.Conn, table: &nftables.Table{Name: t.name, Family: nftables.TableFamilyINet}}
	bridge := &writer{conn: t.conn.Conn, table: &nftables.Table{Name: t.name, Family: nftables.TableFamilyBridge}}
	var errs error
	for _, v := range versions {
		errs = errors.Join(errs, inet.change(published(v, true), come, gone), inet.change(published(v, false), come, gone),
			bridge.change(known(v), come, gone))
	}
	if errs == nil {
		errs = t.conn.Commit()
	}
	if errors.Is(errs, unix.ENOENT) { // somebody has just removed it
		return "", false, nil
	}
	if errs != nil {
		return "", false, fmt.Errorf("change the nft table %s: %w", t.name, errs)
	}
	return before.next(), true, nil
}

// A mark identifies the state of the tables after a change, whoever made it:
// the kernel counts the changes in a network namespace.
type mark struct {
	sum        [16]byte // of everything that the rules depend on
	generation uint32
	text       string
}

// next returns the mark after the next change, if nobody else makes one first.
func (m mark) next() string {
	m.generation++
	if m.generation == 0 { // as in nf_tables_commit, net/netfilter/nf_tables_api.c
		m.generation++
	}
	return m.String()
}

func (m mark) String() string { return fmt.Sprintf("%x %08x", m.sum, m.generation) }

// mark returns the mark of the tables as they are now. Without a cookie its
// text is empty.
func (t *Tables) mark(d Description) (m mark, err error) {
	generation, cookie, err := t.conn.Generation()
	if err != nil || cookie == 0 {
		return m, err
	}
	// Another build of this program may have other rules.
	program, err := os.Stat("/proc/self/exe")
	if err != nil {
		return m, err
	}
	file := program.Sys().(*syscall.Stat_t)
	d.Endpoints = nil
	text, err := json.Marshal([]any{cookie, file.Dev, file.Ino, file.Size, file.Mtim, file.Ctim, t.name, d})
	if err != nil {
		return m, err
	}
	sum := sha256.Sum256(text)
	copy(m.sum[:], sum[:])
	m.generation = generation
	m.text = m.String()
	return m, nil
}
