package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"example.com/go-docker/day5-networks/confine"
	"example.com/go-docker/day5-networks/rootfs"
	"github.com/docker/go-units"
	urfave "github.com/urfave/cli/v2"
)

// settingFlags are what else people give to docker run.
func settingFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringSliceFlag{Name: "env-file", Usage: "read NAME=VALUE, or NAME, from the lines of `FILE`"},
		&urfave.StringSliceFlag{Name: "add-host", Usage: "add `NAME:ADDRESS` to /etc/hosts"},
		&urfave.StringSliceFlag{Name: "tmpfs", Usage: "mount an empty directory in memory on `PATH[:OPTIONS]`"},
		&urfave.StringFlag{Name: "shm-size", Usage: "`SIZE` of /dev/shm (default: 64m)"},
		&urfave.StringSliceFlag{Name: "ulimit", Usage: "set `NAME=SOFT[:HARD]`, like nofile=1024; -1: unlimited"},
	}
}

// rootFromFlags returns what the command line says of the container's root.
func rootFromFlags(ctx *urfave.Context) (*rootfs.Root, error) {
	r := &rootfs.Root{ReadOnly: ctx.Bool("read-only")}
	var err error
	if r.Volumes, err = volumesFromFlags(ctx); err != nil {
		return nil, err
	}
	if size := ctx.String("shm-size"); size != "" {
		if r.ShmSize, err = parseBytes(size); err == nil && r.ShmSize == 0 {
			err = errors.New("want more than 0")
		}
		if err != nil {
			return nil, fmt.Errorf("invalid --shm-size %q: %w", size, err)
		}
	}
	return r, nil
}

func rlimitsFromFlags(ctx *urfave.Context) ([]confine.Rlimit, error) {
	var limits []confine.Rlimit
	for _, s := range ctx.StringSlice("ulimit") {
		u, err := units.ParseUlimit(s)
		if err == nil && (u.Soft < -1 || u.Hard < -1) {
			err = errors.New("less than -1")
		}
		if err != nil {
			return nil, fmt.Errorf("invalid --ulimit %q: %w", s, err)
		}
		l, err := u.GetRlimit()
		if err != nil {
			return nil, err
		}
		limits = append(limits, confine.Rlimit{Resource: l.Type, Soft: l.Soft, Hard: l.Hard})
	}
	return limits, nil
}

// hostsFromFlags returns the lines that --add-host adds to /etc/hosts.
func hostsFromFlags(ctx *urfave.Context) (lines string, err error) {
	for _, s := range ctx.StringSlice("add-host") {
		at := strings.IndexAny(s, ":=") // an address may have colons itself
		if at <= 0 || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
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

// readEnvFiles reads variables as docker run --env-file does: a line each,
// without quotes or escapes, comments after #.
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
