package options

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"example.com/go-docker/day4-lifecycle/container"
)

// environment returns the image's environment with the changes of -e and
// --env-file. HOME comes later, from the container's passwd.
func environment(c *container.Container, image, set []string) ([]string, error) {
	env := slices.Concat(image, []string{"HOSTNAME=" + c.Hostname})
	if c.TTY {
		env = append(env, "TERM="+cmp.Or(os.Getenv("TERM"), "xterm"))
	}
	if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }) {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return SetVariables(env, set)
}

// SetVariables applies -e: NAME=VALUE, or NAME to pass on our own.
func SetVariables(env, set []string) ([]string, error) {
	env = slices.Clone(env)
	for _, e := range set {
		name, _, hasValue := strings.Cut(e, "=")
		if name == "" || strings.ContainsRune(e, 0) {
			return nil, fmt.Errorf("invalid --env %q: want NAME=VALUE or NAME", e)
		}
		if !hasValue {
			value, ok := os.LookupEnv(name)
			if !ok {
				continue
			}
			e = name + "=" + value
		}
		env = slices.DeleteFunc(env, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		env = append(env, e)
	}
	return env, nil
}
