package options

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"example.com/go-docker/day5-networks/container"
)

// environment returns the image's environment with the changes of -e and
// --env-file. HOME comes later, from the container's passwd.
func environment(c *container.Container, image, set []string) ([]string, error) {
	env := append(slices.Clone(image), "HOSTNAME="+c.Hostname)
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
		env = append(without(env, name), e)
	}
	return env, nil
}

func without(env []string, name string) []string {
	var rest []string
	for _, e := range env {
		if !strings.HasPrefix(e, name+"=") {
			rest = append(rest, e)
		}
	}
	return rest
}

// readEnvFiles reads variables as docker run --env-file does: one a line, no
// quotes or escapes, # for comments.
func readEnvFiles(names []string) ([]string, error) {
	var env []string
	for _, name := range names {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			line := strings.TrimLeftFunc(strings.TrimPrefix(lines.Text(), "\ufeff"), unicode.IsSpace)
			if line == "" || line[0] == '#' {
				continue
			}
			variable, _, hasValue := strings.Cut(line, "=")
			if !hasValue {
				variable = strings.TrimSpace(line)
				line = variable
			}
			if variable == "" || strings.ContainsFunc(variable, unicode.IsSpace) || !utf8.ValidString(line) {
				return nil, fmt.Errorf("%s: invalid line %q: want NAME=VALUE or NAME", name, line)
			}
			env = append(env, line)
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return env, nil
}
