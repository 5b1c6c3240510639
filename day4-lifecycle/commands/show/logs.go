package show

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day4-lifecycle/commands/action"
	"example.com/go-docker/day4-lifecycle/commands/named"
	"example.com/go-docker/day4-lifecycle/lifecycle"
	"example.com/go-docker/day4-lifecycle/logfile"
	"example.com/go-docker/day4-lifecycle/state"
)

// Logs is the command logs.
var Logs = &urfave.Command{
	Name:      "logs",
	Usage:     "show what a container has written to standard output and error",
	ArgsUsage: "CONTAINER",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "follow until the container ends", DisableDefaultText: true},
		&urfave.StringFlag{Name: "tail", Aliases: []string{"n"}, Value: "all", Usage: "show only the last `N` lines"},
		&urfave.BoolFlag{Name: "timestamps", Aliases: []string{"t"}, Usage: "show the time of each line", DisableDefaultText: true},
		&urfave.StringFlag{Name: "since", Usage: "show lines since `TIME`, or since so long ago: 10m"},
		&urfave.StringFlag{Name: "until", Usage: "show lines from before `TIME`"},
	},
	Action: func(ctx *urfave.Context) error {
		q := logfile.Query{Tail: -1, Follow: ctx.Bool("follow")}
		if tail := ctx.String("tail"); tail != "all" {
			n, err := strconv.Atoi(tail)
			if err != nil {
				return fmt.Errorf("invalid --tail %q: want a number or all", tail)
			}
			q.Tail = n // negative: all, as in Docker
		}
		for name, t := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
			if text := ctx.String(name); text != "" {
				var err error
				if *t, err = parseTime(text, time.Now()); err != nil {
					return fmt.Errorf("invalid --%s: %w", name, err)
				}
			}
		}
		c, err := named.One(ctx, 1, 1)
		if err != nil {
			return err
		}
		return action.Interruptible(func(until context.Context) error {
			p := &logfile.Printer{Stdout: os.Stdout, Stderr: os.Stderr, Timestamps: ctx.Bool("timestamps")}
			err := logfile.Read(until, filepath.Join(c.Dir, state.LogFile), q, func() bool { return complete(c) }, p.Print)
			if errors.Is(err, syscall.EPIPE) {
				return nil // the reader has had enough
			}
			if err == nil && until.Err() != nil {
				return context.Cause(until)
			}
			return err
		})
	},
}

// complete reports whether the log is complete, that is, whether the container
// and its shim have both ended.
func complete(c *lifecycle.Container) bool {
	held, err := state.TryLock(c.Dir)
	if err == nil {
		_ = held.Close()
	}
	return err == nil || errors.Is(err, fs.ErrNotExist) // it has been removed
}

// parseTime reads the values of --since and --until as Docker does: a time, a
// date, seconds since 1970, or how long ago. Without a zone, the time is local.
func parseTime(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(seconds) < 1<<40 {
		whole, part := math.Modf(seconds)
		return time.Unix(int64(whole), int64(part*1e9)), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: write 10m for ten minutes ago, or 2006-01-02T15:04:05", text)
}
