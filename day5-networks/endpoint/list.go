package endpoint

import (
	"errors"
	"io/fs"
)

// OnRecord returns the endpoints in a directory that are complete, without asking
// whether their owners live. It needs no lock.
func OnRecord(dir string) ([]Endpoint, error) {
	return which(dir, func(*Record) (bool, error) { return true, nil })
}

// Live returns those whose owners live, in this boot of the machine. It needs no
// lock.
func Live(dir, boot string) ([]Endpoint, error) {
	return which(dir, func(r *Record) (bool, error) { return r.Alive(boot) })
}

func which(dir string, wanted func(*Record) (bool, error)) (all []Endpoint, err error) {
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
		if is, err := wanted(r); err != nil {
			return nil, err
		} else if is {
			all = append(all, r.Endpoint)
		}
	}
	return all, nil
}
