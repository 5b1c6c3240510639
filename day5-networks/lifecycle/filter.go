package lifecycle

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"example.com/go-docker/day5-networks/state"
)

// ParseFilters returns what keeps a container in the list. Of two filters of a
// name one has to fit, of those of different names all.
func ParseFilters(filters []string) (func(c *Container) bool, error) {
	wanted := map[string][]string{}
	for _, f := range filters {
		name, value, ok := strings.Cut(f, "=")
		if !ok || !slices.Contains([]string{"id", "name", "status", "exited", "ancestor"}, name) {
			return nil, fmt.Errorf("invalid --filter %q: want id, name, status, exited or ancestor, and =VALUE", f)
		}
		if err := checkFilter(name, value); err != nil {
			return nil, fmt.Errorf("invalid --filter %q: %w", f, err)
		}
		wanted[name] = append(wanted[name], value)
	}
	return func(c *Container) bool {
		fits := map[string]func(value string) bool{
			"id":     func(v string) bool { return strings.HasPrefix(c.ID, v) },
			"name":   func(v string) bool { return nameFits(v, c.Name) },
			"status": func(v string) bool { return string(c.State.Status) == v },
			"exited": func(v string) bool { return c.State.Status == state.Exited && strconv.Itoa(c.State.ExitCode) == v },
			"ancestor": func(v string) bool {
				return strings.TrimSuffix(c.ImageName, ":latest") == strings.TrimSuffix(v, ":latest") || c.Image == v || strings.HasPrefix(strings.TrimPrefix(c.Image, "sha256:"), v)
			},
		}
		for name, values := range wanted {
			if !slices.ContainsFunc(values, fits[name]) {
				return false
			}
		}
		return true
	}, nil
}

// checkFilter makes sure that a filter can fit something.
func checkFilter(name, value string) (err error) {
	switch name {
	case "exited":
		if _, err = strconv.Atoi(value); err != nil {
			err = errors.New("want a number")
		}
	case "name":
		if _, err = regexp.Compile(value); err != nil {
			err = fmt.Errorf("want a regular expression: %w", err)
		}
	case "status":
		all := []state.Status{state.Created, state.Running, state.Paused, state.Restarting, state.Exited}
		if !slices.Contains(append(all, "removing", "dead"), state.Status(value)) { // Docker has these too; none of ours is ever so
			err = errors.New("want created, running, paused, restarting or exited")
		}
	}
	return err
}

// nameFits tells whether a regular expression is found in a name, with or
// without the slash that inspect shows before it.
func nameFits(pattern, name string) bool {
	fits := regexp.MustCompile(pattern) // see checkFilter
	return fits.MatchString(name) || fits.MatchString("/"+name)
}
