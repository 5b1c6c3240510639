package options

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/commands/limits"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/logfile"
	"example.com/go-docker/day5-networks/state"
)

// LifecycleFlags are about the container's end and its log.
func LifecycleFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "restart", Value: "no", Usage: "on-failure[:N], always, unless-stopped"},
		&urfave.StringSliceFlag{Name: "log-opt", Usage: "`NAME=VALUE`: max-size of a log file, max-file: how many"},
		&urfave.StringFlag{Name: "stop-signal", Usage: "`SIGNAL` that stop sends (default: the image's, or TERM)"},
	}
}

// Config returns the settings for the container's life: its log, its restarts,
// its end.
func Config(ctx *urfave.Context, c *container.Container) (*state.Config, error) {
	config := &state.Config{OpenStdin: ctx.Bool("interactive"), AutoRemove: ctx.Bool("rm")}
	var err error
	if config.Cgroup, err = limits.FromFlags(ctx); err != nil {
		return nil, err
	}
	config.Cgroup.ID, config.Cgroup.Init = c.ID, c.Init
	if config.Restart, err = state.ParsePolicy(ctx.String("restart")); err != nil {
		return nil, err
	}
	if config.AutoRemove && config.Restart.String() != "no" {
		return nil, errors.New("--rm and --restart: what is removed at its end cannot be started again")
	}
	if config.Log, err = logfile.ParseOptions(ctx.StringSlice("log-opt")); err != nil {
		return nil, err
	}
	if sig := ctx.String("stop-signal"); sig != "" {
		if config.StopSignal, err = ParseSignal(sig); err != nil {
			return nil, fmt.Errorf("invalid --stop-signal %q: %w", sig, err)
		}
		if !c.Forwards(syscall.Signal(config.StopSignal)) {
			return nil, fmt.Errorf("invalid --stop-signal %q: init does not pass it on; with --init=false there is none", sig)
		}
	}
	return config, nil
}

// ParseSignal reads a signal as Docker does: TERM, SIGTERM, 15.
func ParseSignal(text string) (int, error) {
	const last = 64 // signal(7)
	if n, err := strconv.Atoi(text); err == nil && n > 0 && n <= last {
		return n, nil
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if n := unix.SignalNum(name); n != 0 {
		return int(n), nil
	}
	return 0, fmt.Errorf("invalid signal %q", text)
}
