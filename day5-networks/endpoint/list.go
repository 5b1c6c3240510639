package endpoint

import (
	"errors"
	"io/fs"
)

// OnRecord returns the endpoints in a directory that are complete, without asking
// whether their owners live. It needs no lock.
func OnRecord(dir string) (all []Endpoint, err error) {
	records, err := List(dir)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if r.pending {
			continue
		}
		err := r.Load()
		if errors.Is(err, fs.ErrNotExist) { // it has just gone
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, r.Endpoint)
	}
	return all, nil
}
