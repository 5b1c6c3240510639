package lifecycle

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"example.com/go-docker/day4-lifecycle/state"
)

// ParseFilters returns what keeps a container in the list. Of two filters of a
// name one has to fit, of those of different names all.
func ParseFilters(filters []string) (func(c *Container) bool, error) {
	wanted := map[string][]func(*Container) bool{}
	for _, f := range filters {
		name, value, found := strings.Cut(f, "=")
		if !found {
			name = "" // no filter is called so
		}
		fits, err := parseFilter(name, value)
		if err != nil {
			return nil, fmt.Errorf("invalid --filter %q: %w", f, err)
		}
		wanted[name] = append(wanted[name], fits)
	}
	return func(c *Container) bool {
		for _, ofOneName := range wanted {
			if !slices.ContainsFunc(ofOneName, func(fits func(*Container) bool) bool { return fits(c) }) {
				return false
			}
		}
		return true
	}, nil
}

// parseFilter refuses a filter that can fit nothing.
func parseFilter(name, value string) (fits func(c *Container) bool, err error) {
	switch name {
	case "id":
		return func(c *Container) bool { return strings.HasPrefix(c.ID, value) }, nil
	case "name":
		pattern, err := regexp.Compile(value)
		if err != nil {
			return nil, fmt.Errorf("want a regular expression: %w", err)
		}
		// As in Docker, inspect shows a slash before the name.
		return func(c *Container) bool { return pattern.MatchString(c.Name) || pattern.MatchString("/"+c.Name) }, nil
	case "status":
		all := []state.Status{state.Created, state.Running, state.Paused, state.Restarting, state.Exited}
		if !slices.Contains(append(all, "removing", "dead"), state.Status(value)) { // Docker has these too; none of ours is ever so
			return nil, errors.New("want created, running, paused, restarting or exited")
		}
		return func(c *Container) bool { return string(c.State.Status) == value }, nil
	case "exited":
		status, err := strconv.Atoi(value)
		if err != nil {
			return nil, errors.New("want a number")
		}
		return func(c *Container) bool { return c.State.Status == state.Exited && c.State.ExitCode == status }, nil
	case "ancestor":
		untagged := strings.TrimSuffix(value, ":latest")
		return func(c *Container) bool {
			return strings.TrimSuffix(c.ImageName, ":latest") == untagged || c.Image == value || strings.HasPrefix(strings.TrimPrefix(c.Image, "sha256:"), value)
		}, nil
	}
	return nil, errors.New("want id, name, status, exited or ancestor, and =VALUE")
}
