// Package options turns the flags of run and an image's configuration into the
// description of a container. It checks everything that can be checked before
// anything is made. The ladder has no rung for it, because its programs take no
// flags.
package options

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/docker/go-units"
	"github.com/moby/term"
	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/commands/limits"
	"example.com/go-docker/day5-networks/confine"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/rootfs"
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
		&urfave.StringSliceFlag{Name: "env-file", Usage: "read NAME=VALUE, or NAME, from the lines of `FILE`"},
		&urfave.StringSliceFlag{Name: "add-host", Usage: "add `NAME:ADDRESS` to /etc/hosts"},
		&urfave.StringSliceFlag{Name: "tmpfs", Usage: "mount an empty directory in memory on `PATH[:OPTIONS]`"},
		&urfave.StringFlag{Name: "shm-size", Usage: "`SIZE` of /dev/shm (default: 64m)"},
		&urfave.StringSliceFlag{Name: "ulimit", Usage: "set `NAME=SOFT[:HARD]`, like nofile=1024; -1: unlimited"},
	}
}

// Container returns what the command line alone determines of what init will
// receive: an ID, arguments, namespaces, resource limits, the root's mounts.
func Container(ctx *urfave.Context) (*container.Container, error) {
	if !ctx.Args().Present() {
		return nil, fmt.Errorf("%[1]s requires an image: see %[1]s --help", ctx.Command.Name)
	}
	c := &container.Container{
		ID:   container.NewID(),
		Args: ctx.Args().Tail(),
		TTY:  ctx.Bool("tty"),
		Init: ctx.Bool("init"),
		User: ctx.String("user"),
	}
	c.Hostname = cmp.Or(ctx.String("hostname"), c.ID)
	if len(c.Hostname) > 64 || !isWord(c.Hostname) { // HOST_NAME_MAX, sethostname(2)
		return nil, fmt.Errorf("invalid --hostname %q: want at most 64 bytes of UTF-8 without white space", c.Hostname)
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

// rootFromFlags returns what the command line says about the container's root.
func rootFromFlags(ctx *urfave.Context) (*rootfs.Root, error) {
	r := &rootfs.Root{ReadOnly: ctx.Bool("read-only"), Workdir: ctx.String("workdir")}
	if r.Workdir != "" && !path.IsAbs(r.Workdir) {
		return nil, fmt.Errorf("invalid --workdir %q: not an absolute path", r.Workdir)
	}
	for _, s := range ctx.StringSlice("volume") {
		v, err := rootfs.ParseVolume(s)
		if err != nil {
			return nil, fmt.Errorf("invalid --volume %q: %w", s, err)
		}
		r.Volumes = append(r.Volumes, v)
	}
	for _, s := range ctx.StringSlice("tmpfs") {
		v, err := rootfs.ParseTmpfs(s)
		if err != nil {
			return nil, fmt.Errorf("invalid --tmpfs %q: %w", s, err)
		}
		r.Volumes = append(r.Volumes, v)
	}
	slices.SortStableFunc(r.Volumes, func(a, b rootfs.Volume) int { return strings.Compare(a.Target, b.Target) }) // /a before /a/b
	if size := ctx.String("shm-size"); size != "" {
		var err error
		if r.ShmSize, err = limits.ParseBytes(size); err != nil || r.ShmSize == 0 {
			return nil, fmt.Errorf("invalid --shm-size %q: %w", size, cmp.Or(err, errors.New("want more than 0")))
		}
	}
	return r, nil
}

func rlimitsFromFlags(ctx *urfave.Context) ([]confine.Rlimit, error) {
	var all []confine.Rlimit
	for _, s := range ctx.StringSlice("ulimit") {
		u, err := units.ParseUlimit(s)
		if err != nil || u.Soft < -1 || u.Hard < -1 {
			return nil, fmt.Errorf("invalid --ulimit %q: %w", s, cmp.Or(err, errors.New("less than -1")))
		}
		l, err := u.GetRlimit()
		if err != nil {
			return nil, err
		}
		all = append(all, confine.Rlimit{Resource: l.Type, Soft: l.Soft, Hard: l.Hard})
	}
	return all, nil
}

// Hosts returns the lines that --add-host adds to /etc/hosts.
func Hosts(ctx *urfave.Context) (lines string, err error) {
	for _, s := range ctx.StringSlice("add-host") {
		at := strings.IndexAny(s, ":=") // an address may contain colons, too
		if at <= 0 || !isWord(s) {
			return "", fmt.Errorf("invalid --add-host %q: want NAME:ADDRESS", s)
		}
		address, err := netip.ParseAddr(strings.Trim(s[at+1:], "[]"))
		if err != nil {
			return "", fmt.Errorf("invalid --add-host %q: %w", s, err)
		}
		lines += address.String() + "\t" + s[:at] + "\n"
	}
	return lines, nil
}
