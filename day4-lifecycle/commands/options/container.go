// Package options turns the flags of run and an image's configuration into the
// description of a container. It checks everything that can be checked before
// anything is made. The ladder has no rung for it, because its programs take no
// flags.
package options

import (
	"fmt"
	"os"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moby/term"
	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/namespace"
)

// ContainerFlags are about the container's process and its root.
func ContainerFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "keep standard input open", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the command a terminal", DisableDefaultText: true},
		&urfave.StringFlag{Name: "hostname", Usage: "`NAME` of the container (default: its id)"},
		&urfave.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set `NAME=VALUE`, or pass NAME on"},
		&urfave.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "absolute `DIRECTORY` to start in"},
		&urfave.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "`NAME|UID[:GROUP|GID]` to run as (default: the image's)"},
		&urfave.StringFlag{Name: "entrypoint", Usage: "`PROGRAM` to run instead of the image's"},
		&urfave.StringFlag{Name: "name", Usage: "`NAME` of the container"},
		&urfave.BoolFlag{Name: "rm", Usage: "remove the container when it ends", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "read-only", Usage: "mount the root read-only", DisableDefaultText: true},
		&urfave.StringSliceFlag{Name: "volume", Aliases: []string{"v"}, Usage: "mount `SOURCE:TARGET[:ro]`"},
		&urfave.BoolFlag{Name: "init", Value: true, Usage: "PID 1 is an init; --init=false: the command"},
	}
}

// Container returns what the command line alone determines of what init will
// receive: an ID, arguments, namespaces, the root's mounts.
func Container(ctx *urfave.Context) (*container.Container, error) {
	if !ctx.Args().Present() {
		return nil, fmt.Errorf("%[1]s requires an image: see %[1]s --help", ctx.Command.Name)
	}
	c := &container.Container{
		ID:         container.NewID(),
		Args:       ctx.Args().Tail(),
		Hostname:   ctx.String("hostname"),
		Namespaces: namespace.All(),
		Dir:        ctx.String("workdir"),
		TTY:        ctx.Bool("tty"),
		Init:       ctx.Bool("init"),
		User:       ctx.String("user"),
	}
	if c.Hostname == "" {
		c.Hostname = c.ID
	} else if len(c.Hostname) > 64 || !isWord(c.Hostname) { // HOST_NAME_MAX, sethostname(2)
		return nil, fmt.Errorf("invalid --hostname %q: want at most 64 bytes of UTF-8 without white space", c.Hostname)
	}
	if c.Dir != "" && !path.IsAbs(c.Dir) {
		return nil, fmt.Errorf("invalid --workdir %q: not an absolute path", c.Dir)
	}
	// If standard input is not a terminal, there is no size, no job control and
	// no ^C to pass on, and a pty would turn every newline into CR LF. ssh
	// decides the same way.
	if c.TTY && attached(ctx) && !term.IsTerminal(os.Stdin.Fd()) {
		logrus.Warn("-t ignored: standard input is not a terminal")
		c.TTY = false
	}
	var err error
	if c.Rlimits, err = rlimitsFromFlags(ctx); err != nil {
		return nil, err
	}
	c.Root, err = rootFromFlags(ctx)
	return c, err
}

// attached reports whether the user is attached to the container from its
// start.
func attached(ctx *urfave.Context) bool {
	return ctx.Command.Name == "run" && !ctx.Bool("detach")
}

// isWord reports whether s can stand in /etc/hosts or resolv.conf, where white
// space would end it.
func isWord(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}
