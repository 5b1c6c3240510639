package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moby/term"
	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/cgroup"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/namespace"
)

func runCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "run",
		Usage:     "run a command in a new container of an image",
		ArgsUsage: "IMAGE [COMMAND] [ARG...]",
		Description: "All namespaces are new but the user namespace, unless some are named; the network's is new unless\n" +
			"--network says otherwise.",
		Flags: slices.Concat([]urfave.Flag{
			&urfave.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "print the container's id when its command runs, and end", DisableDefaultText: true},
			detachKeysFlag(),
		}, createFlags()),
		Action: runImage,
	}
}

func createCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "create",
		Usage:     "make a container, to be started later",
		ArgsUsage: "IMAGE [COMMAND] [ARG...]",
		Flags:     createFlags(),
		Action:    createContainer,
	}
}

func createFlags() []urfave.Flag {
	return slices.Concat(containerFlags(), lifecycleFlags(), networkFlags(), memoryFlags(), limitFlags(), settingFlags(), namespaceFlags(), []urfave.Flag{insecureFlag()})
}

// flagKinds are the kinds of namespaces that have a flag. Of the network,
// --network speaks.
func flagKinds() []namespace.Kind {
	return slices.DeleteFunc(slices.Clone(namespace.Kinds), func(k namespace.Kind) bool { return k.Flag == unix.CLONE_NEWNET })
}

func namespaceFlags() []urfave.Flag {
	var flags []urfave.Flag
	for _, k := range flagKinds() {
		flags = append(flags, &urfave.BoolFlag{Name: k.Name, Usage: "new " + k.Name + " namespace: " + k.Holds, DisableDefaultText: true})
	}
	return flags
}

func containerFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "keep standard input open", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the command a terminal", DisableDefaultText: true},
		&urfave.StringFlag{Name: "hostname", Usage: "`NAME` of the container (default: its id)"},
		&urfave.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set `NAME=VALUE`, or pass NAME on"},
		&urfave.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "absolute `DIRECTORY` to start in"},
		&urfave.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "`NAME|UID[:GROUP|GID]` to run as (default: the image's)"},
		&urfave.StringFlag{Name: "entrypoint", Usage: "`PROGRAM` to run instead of the image's"},
		&urfave.StringFlag{Name: "name", Usage: "`NAME` of the container"},
		&urfave.BoolFlag{Name: "rm", Usage: "remove the container when it has ended", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "read-only", Usage: "mount the root read-only", DisableDefaultText: true},
		&urfave.StringSliceFlag{Name: "volume", Aliases: []string{"v"}, Usage: "mount `SOURCE:TARGET[:ro]`"},
		&urfave.BoolFlag{Name: "init", Value: true, Usage: "an init is PID 1; --init=false: the command"},
	}
}

func containerFromFlags(ctx *urfave.Context) (*container.Container, error) {
	if !ctx.Args().Present() {
		return nil, fmt.Errorf("%[1]s requires an image: see %[1]s --help", ctx.Command.Name)
	}
	c := &container.Container{
		ID:       container.NewID(),
		Args:     ctx.Args().Tail(),
		Hostname: ctx.String("hostname"),
		Dir:      ctx.String("workdir"),
		TTY:      ctx.Bool("tty"),
		Init:     ctx.Bool("init"),
		User:     ctx.String("user"),
	}
	var err error
	if c.Namespaces, err = namespacesFromFlags(ctx); err != nil {
		return nil, err
	}
	c.Namespaces |= unix.CLONE_NEWNS // whatever was named: the root is made of mounts
	if c.Hostname == "" {
		c.Hostname = c.ID
	} else if err := checkHostname(c); err != nil {
		return nil, fmt.Errorf("invalid --hostname %q: %w", c.Hostname, err)
	}
	if c.Dir != "" && !path.IsAbs(c.Dir) {
		return nil, fmt.Errorf("invalid --workdir %q: not an absolute path", c.Dir)
	}
	// Off a terminal there is no size, no job control and no ^C to pass on, and
	// the pty would turn every newline into CR LF. ssh decides the same way.
	if c.TTY && attached(ctx) && !term.IsTerminal(os.Stdin.Fd()) {
		logrus.Warn("-t ignored: standard input is not a terminal")
		c.TTY = false
	}
	if c.Rlimits, err = rlimitsFromFlags(ctx); err != nil {
		return nil, err
	}
	c.Root, err = rootFromFlags(ctx)
	return c, err
}

// attached tells whether the user will sit at the container from its start.
func attached(ctx *urfave.Context) bool {
	return ctx.Command.Name == "run" && !ctx.Bool("detach")
}

// namespacesFromFlags returns the clone(2) flags of the namespaces that were
// named, or of all that this kernel has when none was.
func namespacesFromFlags(ctx *urfave.Context) (uintptr, error) {
	var named uintptr
	for _, k := range flagKinds() {
		if !ctx.Bool(k.Name) {
			continue
		}
		if !k.Supported() {
			return 0, fmt.Errorf("--%s: this kernel has no %s namespaces (no /proc/self/ns/%s)", k.Name, k.Name, k.File)
		}
		named |= k.Flag
	}
	if named == 0 {
		named = namespace.All()
	}
	// Only root may make the others; but root of a new user namespace is root
	// enough, and anybody may make one of those. user_namespaces(7)
	if os.Geteuid() != 0 {
		named |= unix.CLONE_NEWUSER
	}
	return named, nil
}

// cgroupFromFlags says what cgroup the container gets.
func cgroupFromFlags(ctx *urfave.Context, c *container.Container) (cgroup.Config, error) {
	limits, err := limitsFromFlags(ctx)
	if err != nil {
		return cgroup.Config{}, err
	}
	parent := ctx.String("cgroup-parent")
	if slices.Contains(strings.Split(parent, "/"), "..") {
		return cgroup.Config{}, fmt.Errorf("invalid --cgroup-parent %q: .. leads out of it", parent)
	}
	return cgroup.Config{ID: c.ID, Parent: parent, Limits: limits, Init: c.Init}, nil
}

func checkHostname(c *container.Container) error {
	switch {
	case c.Namespaces&unix.CLONE_NEWUTS == 0:
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

// environment is the image's, and what -e adds to it or changes. HOME comes
// later, from the container's passwd.
func environment(c *container.Container, image, set []string) ([]string, error) {
	env := append(slices.Clone(image), "HOSTNAME="+c.Hostname)
	if c.TTY {
		env = append(env, "TERM="+cmp.Or(os.Getenv("TERM"), "xterm"))
	}
	if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }) {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return setVariables(env, set)
}

// setVariables is -e: NAME=VALUE, or NAME for one that we have.
func setVariables(env, set []string) ([]string, error) {
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
