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

// Change applies the Dockerfile instructions given to -c to a configuration.
func Change(c *v1.Config, instructions []string) error {
	hasCmd := false
	for _, text := range instructions {
		if strings.HasPrefix(text, "/") || strings.HasPrefix(text, ".") { // in the original articles -c took a directory
			return fmt.Errorf("invalid --change %q: want an instruction like CMD [\"sh\"]; for a tar: commit -o %s CONTAINER", text, path.Join(text, "NAME.tar"))
		}
		name, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
		name = strings.ToUpper(name)
		if err := apply(c, name, strings.TrimSpace(rest)); err != nil {
			return fmt.Errorf("invalid --change %q: %w", text, err)
		}
		hasCmd = hasCmd || name == "CMD"
		if name == "ENTRYPOINT" && !hasCmd {
			c.Cmd = nil // it was written for the old ENTRYPOINT
		}
	}
	return nil
}

func apply(c *v1.Config, name, rest string) error {
	if rest == "" {
		return errors.New("want an instruction and its argument, like CMD [\"/bin/sh\"]")
	}
	switch name {
	case "CMD":
		c.Cmd = listOr(rest, "/bin/sh", "-c", rest)
	case "ENTRYPOINT":
		c.Entrypoint = listOr(rest, "/bin/sh", "-c", rest)
	case "USER":
		if strings.ContainsAny(rest, " \t") {
			return errors.New("want one user, or USER:GROUP")
		}
		c.User = rest
	case "WORKDIR":
		if !path.IsAbs(rest) {
			rest = path.Join("/", c.WorkingDir, rest)
		}
		c.WorkingDir = path.Clean(rest)
	case "EXPOSE":
		return expose(c, strings.Fields(rest))
	case "VOLUME":
		for _, dir := range listOr(rest, strings.Fields(rest)...) {
			add(&c.Volumes, dir)
		}
	case "ENV":
		return eachPair(rest, func(name, value string) {
			i := slices.IndexFunc(c.Env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
			if i < 0 {
				i, c.Env = len(c.Env), append(c.Env, "")
			}
			c.Env[i] = name + "=" + value
		})
	case "LABEL":
		return eachPair(rest, func(name, value string) {
			if c.Labels == nil {
				c.Labels = map[string]string{}
			}
			c.Labels[name] = value
		})
	default:
		return fmt.Errorf("unknown instruction %q", name)
	}
	return nil
}

// listOr reads a JSON list, the exec form of Dockerfiles. If it is none,
// listOr returns otherwise.
func listOr(text string, otherwise ...string) (list []string) {
	if json.Unmarshal([]byte(text), &list) == nil {
		return list
	}
	return otherwise
}

// expose accepts PORT and PORT/PROTOCOL.
func expose(c *v1.Config, ports []string) error {
	for _, text := range ports {
		port, protocol, found := strings.Cut(strings.ToLower(text), "/")
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || found && !slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) {
			return fmt.Errorf("%q is not a port: want one from 1 to 65535 like 80 or 53/udp", text)
		}
		add(&c.ExposedPorts, text)
	}
	return nil
}

func add(set *map[string]struct{}, key string) {
	if *set == nil {
		*set = map[string]struct{}{}
	}
	(*set)[key] = struct{}{}
}

// eachPair reads A=1 B="two words".
func eachPair(text string, do func(name, value string)) error {
	words, err := shellquote.Split(text)
	if err != nil {
		return err
	}
	for _, word := range words {
		name, value, found := strings.Cut(word, "=")
		if !found || name == "" {
			return fmt.Errorf("%q is not NAME=VALUE", word)
		}
		do(name, value)
	}
	return nil
}
