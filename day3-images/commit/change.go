package commit

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/kballard/go-shellquote"
)

// ParseChanges reads the Dockerfile instructions given to -c, and returns a
// function that applies them to a configuration.
func ParseChanges(instructions []string) (func(*v1.Config), error) {
	var changes []func(*v1.Config)
	hasCmd := false
	for _, text := range instructions {
		if strings.HasPrefix(text, "/") || strings.HasPrefix(text, ".") { // in the original articles -c took a directory
			return nil, fmt.Errorf("invalid --change %q: want an instruction like CMD [\"sh\"]; for a tar: commit -o %s CONTAINER", text, path.Join(text, "NAME.tar"))
		}
		name, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
		name, rest = strings.ToUpper(name), strings.TrimSpace(rest)
		change, err := parseChange(name, rest)
		if err != nil {
			return nil, fmt.Errorf("invalid --change %q: %w", text, err)
		}
		changes = append(changes, change)
		hasCmd = hasCmd || name == "CMD"
		if name == "ENTRYPOINT" && !hasCmd {
			// The old CMD was written for the old ENTRYPOINT.
			changes = append(changes, func(c *v1.Config) { c.Cmd = nil })
		}
	}
	return func(c *v1.Config) {
		for _, change := range changes {
			change(c)
		}
	}, nil
}

func parseChange(name, rest string) (func(*v1.Config), error) {
	if rest == "" {
		return nil, errors.New("want an instruction and its argument, like CMD [\"/bin/sh\"]")
	}
	switch name {
	case "CMD":
		return func(c *v1.Config) { c.Cmd = parseCommand(rest) }, nil
	case "ENTRYPOINT":
		return func(c *v1.Config) { c.Entrypoint = parseCommand(rest) }, nil
	case "USER":
		if strings.ContainsAny(rest, " \t") {
			return nil, errors.New("want one user, or USER:GROUP")
		}
		return func(c *v1.Config) { c.User = rest }, nil
	case "WORKDIR":
		return func(c *v1.Config) { c.WorkingDir = joinDir(c.WorkingDir, rest) }, nil
	case "EXPOSE":
		ports := strings.Fields(rest)
		for _, port := range ports {
			if err := checkPort(port); err != nil {
				return nil, err
			}
		}
		return addTo(ports, func(c *v1.Config) *map[string]struct{} { return &c.ExposedPorts }), nil
	case "VOLUME":
		var list []string
		if json.Unmarshal([]byte(rest), &list) != nil {
			list = strings.Fields(rest)
		}
		return addTo(list, func(c *v1.Config) *map[string]struct{} { return &c.Volumes }), nil
	case "ENV", "LABEL":
		return parsePairs(name, rest)
	}
	return nil, fmt.Errorf("unknown instruction %q", name)
}

// checkPort accepts PORT or FROM-TO, with or without a protocol.
func checkPort(text string) error {
	ports, protocol, found := strings.Cut(text, "/")
	from, to, isRange := strings.Cut(ports, "-")
	if !isRange {
		to = from
	}
	first, err := strconv.ParseUint(from, 10, 16)
	last, errLast := strconv.ParseUint(to, 10, 16)
	if err != nil || errLast != nil || first == 0 || last < first || found && !slices.Contains([]string{"tcp", "udp", "sctp"}, strings.ToLower(protocol)) {
		return fmt.Errorf("%q is not a port: want one from 1 to 65535 like 80, 53/udp or 8000-8010", text)
	}
	return nil
}

// parseCommand reads the exec form, which is a JSON list, or otherwise the
// shell form.
func parseCommand(rest string) []string {
	var list []string
	if json.Unmarshal([]byte(rest), &list) == nil {
		return list
	}
	return []string{"/bin/sh", "-c", rest}
}

func joinDir(old, dir string) string {
	if path.IsAbs(dir) {
		return path.Clean(dir)
	}
	return path.Join("/", old, dir)
}

func addTo(keys []string, set func(*v1.Config) *map[string]struct{}) func(*v1.Config) {
	return func(c *v1.Config) {
		m := set(c)
		if *m == nil {
			*m = map[string]struct{}{}
		}
		for _, key := range keys {
			(*m)[key] = struct{}{}
		}
	}
}

// parsePairs reads A=1 B="two words", or the old form with a single pair: A two
// words.
func parsePairs(name, rest string) (func(*v1.Config), error) {
	first, after, _ := strings.Cut(rest, " ")
	pairs := [][2]string{{first, strings.TrimSpace(after)}}
	if strings.Contains(first, "=") {
		words, err := shellquote.Split(rest)
		if err != nil {
			return nil, err
		}
		pairs = nil
		for _, word := range words {
			key, value, found := strings.Cut(word, "=")
			if !found || key == "" {
				return nil, fmt.Errorf("%q is not NAME=VALUE", word)
			}
			pairs = append(pairs, [2]string{key, value})
		}
	}
	return func(c *v1.Config) {
		for _, p := range pairs {
			if name == "ENV" {
				c.Env = setEnv(c.Env, p[0], p[1])
				continue
			}
			if c.Labels == nil {
				c.Labels = map[string]string{}
			}
			c.Labels[p[0]] = p[1]
		}
	}, nil
}

func setEnv(env []string, key, value string) []string {
	i := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, key+"=") })
	if i < 0 {
		return append(env, key+"="+value)
	}
	env[i] = key + "=" + value
	return env
}
