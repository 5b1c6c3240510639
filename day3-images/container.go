package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"example.com/go-docker/day3-images/confine"
	"example.com/go-docker/day3-images/rootfs"
	"github.com/moby/term"
	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// A Container is everything the child has to know. The parent sends it as JSON
// over a pipe, so arguments survive byte for byte and nothing of it shows in
// the environment or in ps.
type Container struct {
	ID          string // 12 hexadecimal digits, as Docker shows them
	Args        byteStrings
	Env         byteStrings
	Hostname    string
	Dir         string // absolute, or "" to stay where the parent is
	Namespaces  uintptr
	Interactive bool   // -i: standard input is the caller's
	TTY         bool   // -t: a terminal of its own
	Init        bool   // keep our init as PID 1 (true), or let the command be it
	User        string // as the container's passwd has it
	Root        *rootfs.Root
	Rlimits     []confine.Rlimit

	Limits       Limits `json:"-"`
	CgroupParent string `json:"-"`
	Cgroup       entry  // how init gets the command into the cgroup

	// Stdout and Stderr are the parent's own when nil.
	Stdout, Stderr *os.File `json:"-"`

	signals *signals // caught from before its directory was made
}

func (c *Container) has(namespace uintptr) bool { return c.Namespaces&namespace != 0 }

func containerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "keep standard input open", DisableDefaultText: true},
		&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the command a terminal", DisableDefaultText: true},
		&cli.StringFlag{Name: "hostname", Usage: "`NAME` of the container (default: its id)"},
		&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set `NAME=VALUE`, or pass NAME on"},
		&cli.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "absolute `DIRECTORY` to start in"},
		&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "`NAME|UID[:GROUP|GID]` to run as (default: the image's)"},
		&cli.StringFlag{Name: "entrypoint", Usage: "`PROGRAM` to run instead of the image's"},
		&cli.StringFlag{Name: "name", Usage: "`NAME` of the container"},
		&cli.BoolFlag{Name: "rm", Usage: "remove the container when it has ended", DisableDefaultText: true},
		&cli.BoolFlag{Name: "read-only", Usage: "mount the root read-only", DisableDefaultText: true},
		&cli.StringSliceFlag{Name: "volume", Aliases: []string{"v"}, Usage: "mount `SOURCE:TARGET[:ro]`"},
		&cli.BoolFlag{Name: "init", Value: true, Usage: "PID 1 forwards signals and reaps; --init=false: PID 1 is the command"},
	}
}

func containerFromFlags(ctx *cli.Context) (*Container, error) {
	if !ctx.Args().Present() {
		return nil, errors.New("run requires an image: see run --help")
	}
	id, err := newID()
	if err != nil {
		return nil, err
	}
	c := &Container{
		ID:          id,
		Args:        ctx.Args().Tail(),
		Hostname:    ctx.String("hostname"),
		Dir:         ctx.String("workdir"),
		Interactive: ctx.Bool("interactive"),
		TTY:         ctx.Bool("tty"),
		Init:        ctx.Bool("init"),
		User:        ctx.String("user"),
	}
	if c.Namespaces, err = namespacesFromFlags(ctx); err != nil {
		return nil, err
	}
	if err := c.checkHostname(); err != nil {
		return nil, fmt.Errorf("invalid --hostname %q: %w", c.Hostname, err)
	}
	if c.Dir != "" && !path.IsAbs(c.Dir) {
		return nil, fmt.Errorf("invalid --workdir %q: not an absolute path", c.Dir)
	}
	// Off a terminal there is no size, no job control and no ^C to pass on, and
	// the pty would turn every newline into CR LF. ssh decides the same way.
	if c.TTY && !term.IsTerminal(os.Stdin.Fd()) {
		logrus.Warn("-t ignored: standard input is not a terminal")
		c.TTY = false
	}
	if c.Rlimits, err = rlimitsFromFlags(ctx); err != nil {
		return nil, err
	}
	if c.Limits, err = limitsFromFlags(ctx); err != nil {
		return nil, err
	}
	if c.CgroupParent = ctx.String("cgroup-parent"); slices.Contains(strings.Split(c.CgroupParent, "/"), "..") {
		return nil, fmt.Errorf("invalid --cgroup-parent %q: .. leads out of it", c.CgroupParent)
	}
	return c, nil
}

func (c *Container) checkHostname() error {
	switch {
	case c.Hostname == "":
		c.Hostname = c.ID
	case !c.has(unix.CLONE_NEWUTS):
		return errors.New("it would be the host's: add --uts")
	case len(c.Hostname) > 64: // HOST_NAME_MAX, sethostname(2)
		return errors.New("longer than 64 bytes")
	case !utf8.ValidString(c.Hostname):
		return errors.New("not UTF-8")
	case strings.ContainsFunc(c.Hostname, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return errors.New("it has white space or a control character, which would end it in /etc/hosts")
	}
	return nil
}

func newID() (string, error) {
	b := make([]byte, 6)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("make a container id: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// environment is the image's, and what -e adds to it or changes. HOME comes
// later, from the container's passwd.
func environment(c *Container, image, set []string) ([]string, error) {
	env := append(slices.Clone(image), "HOSTNAME="+c.Hostname)
	if c.TTY {
		env = append(env, "TERM="+os.Getenv("TERM"))
	}
	if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }) {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
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
