package options

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/docker/go-units"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day3-images/commands/limits"
	"example.com/go-docker/day3-images/confine"
	"example.com/go-docker/day3-images/rootfs"
)

// SettingFlags are the other flags that people give to docker run.
func SettingFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringSliceFlag{Name: "env-file", Usage: "read NAME=VALUE, or NAME, from the lines of `FILE`"},
		&urfave.StringSliceFlag{Name: "add-host", Usage: "add `NAME:ADDRESS` to /etc/hosts"},
		&urfave.StringSliceFlag{Name: "tmpfs", Usage: "mount an empty directory in memory on `PATH[:OPTIONS]`"},
		&urfave.StringFlag{Name: "shm-size", Usage: "`SIZE` of /dev/shm (default: 64m)"},
		&urfave.StringSliceFlag{Name: "ulimit", Usage: "set `NAME=SOFT[:HARD]`, like nofile=1024; -1: unlimited"},
	}
}

// rootFromFlags returns what the command line says about the container's root.
func rootFromFlags(ctx *urfave.Context) (*rootfs.Root, error) {
	r := &rootfs.Root{ReadOnly: ctx.Bool("read-only")}
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
	var limits []confine.Rlimit
	for _, s := range ctx.StringSlice("ulimit") {
		u, err := units.ParseUlimit(s)
		if err != nil || u.Soft < -1 || u.Hard < -1 {
			return nil, fmt.Errorf("invalid --ulimit %q: %w", s, cmp.Or(err, errors.New("less than -1")))
		}
		l, err := u.GetRlimit()
		if err != nil {
			return nil, err
		}
		limits = append(limits, confine.Rlimit{Resource: l.Type, Soft: l.Soft, Hard: l.Hard})
	}
	return limits, nil
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
