package firewall

import (
	"slices"

	"github.com/google/nftables"
)

// An elastic is a set whose elements come and go with endpoints.
type elastic struct {
	name      string
	key, data nftables.SetDatatype
	of        func(Endpoint) []nftables.SetElement
}

// fill adds the set with the elements of these endpoints.
func (w *writer) fill(s elastic, endpoints []Endpoint) *nftables.Set {
	return w.set(s.name, s.key, s.data, s.elements(endpoints))
}

func (s elastic) elements(endpoints []Endpoint) (all []nftables.SetElement) {
	for _, e := range endpoints {
		all = append(all, s.of(e)...)
	}
	return all
}

// change adds elements to an existing set for the endpoints that have come, and
// removes those of the ones that have gone.
func (w *writer) change(s elastic, come, gone []Endpoint) error {
	there := w.describe(s.name, s.key, s.data)
	for piece := range slices.Chunk(s.elements(gone), mostElements) {
		if err := w.conn.SetDeleteElements(there, piece); err != nil {
			return err
		}
	}
	for piece := range slices.Chunk(s.elements(come), mostElements) {
		if err := w.conn.SetAddElements(there, piece); err != nil {
			return err
		}
	}
	return nil
}

// published is the set of ports that endpoints have published, at one address
// of the host or at all of them.
func published(v version, one bool) elastic {
	s := elastic{
		name: "publish" + v.suffix, key: nftables.MustConcatSetType(service...),
		data: nftables.MustConcatSetType(v.address, nftables.TypeInetService),
	}
	if one {
		s.name, s.key = "publish-one"+v.suffix, nftables.MustConcatSetType(append(service[:2:2], v.address)...)
	}
	s.of = func(e Endpoint) (elements []nftables.SetElement) {
		for _, f := range e.Forwards {
			if !v.has(f.To.Addr()) || one == f.From.Addr().IsUnspecified() {
				continue
			}
			key := f.key()
			if one {
				key = slices.Concat(key, f.From.Addr().AsSlice())
			}
			elements = append(elements, nftables.SetElement{Key: key, Val: slices.Concat(f.To.Addr().AsSlice(), port(f.To.Port()))})
		}
		return elements
	}
	return s
}
