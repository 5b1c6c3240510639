package options

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/docker/cli/pkg/kvfile"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/container"
)

// ApplyConfig fills in what the command line leaves to the image.
func ApplyConfig(ctx *urfave.Context, c *container.Container, config v1.Config) error {
	entrypoint, command := config.Entrypoint, config.Cmd
	if ctx.IsSet("entrypoint") { // the image's arguments are for its own entrypoint
		entrypoint, command = []string{ctx.String("entrypoint")}, nil
		if ctx.String("entrypoint") == "" {
			entrypoint = nil
		}
	}
	if len(c.Args) > 0 {
		command = c.Args
	}
	if c.Args = slices.Concat(entrypoint, command); len(c.Args) == 0 {
		return errors.New("no command: the image names none, so name one after the image")
	}
	c.Root.Workdir = path.Clean("/" + cmp.Or(c.Root.Workdir, config.WorkingDir)) // like Docker: /a/.. is / even if a is a link or missing
	c.User = cmp.Or(c.User, config.User)
	var set []string
	for _, name := range ctx.StringSlice("env-file") {
		variables, err := kvfile.Parse(name, os.LookupEnv)
		if err != nil {
			return fmt.Errorf("--env-file: %w", err)
		}
		set = append(set, variables...)
	}
	var err error
	c.Env, err = environment(c, config.Env, append(set, ctx.StringSlice("env")...))
	return err
}

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
