// Day 2, cgroups: a limit on what the process may use.
//
//	day2-cgroups                             a hog meets a memory limit
//	day2-cgroups run [OPTIONS] COMMAND [ARG...]
//	day2-cgroups stats [CONTAINER...]
//
// For example:
//
//	# go run ./day2-cgroups
//	# go run ./day2-cgroups run -ti -m 100m --cpus 0.5 --pids-limit 20 sh
//
// New today: cgroups(7) of version 1, version 2 and both at once, a container
// that starts inside its limits, and cleaning up whatever happens.
//
// Exit status: the command's own; 128+n when signal n killed it; 127 when it
// was not found, 126 when it could not be executed, 125 for every other error.
package main

import (
	"os"
	"runtime"
	"slices"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"
)

// The kernel ties two things we use to a thread, not to a process: the death
// signal of prctl(2) PR_SET_PDEATHSIG fires when the thread that forked ends,
// and unshare(2) acts on the caller alone. So main stays on the main thread.
func init() { runtime.LockOSThread() }

func main() {
	if isInit(os.Args) {
		os.Exit(containerInit())
	}
	logrus.SetFormatter(plainFormatter{})
	os.Exit(exitStatus(newApp().Run(os.Args)))
}

func newApp() *cli.App {
	app := &cli.App{
		Name:            "day2-cgroups",
		Usage:           "a limit on what the process may use",
		HideHelpCommand: true,
		Flags:           demoFlags(),
		Action:          demo,
		Commands:        []*cli.Command{runCommand(), statsCommand, hogCommand},
	}
	return dockerLike(app)
}

func runCommand() *cli.Command {
	return &cli.Command{
		Name:        "run",
		Usage:       "run a command in new namespaces, within limits",
		ArgsUsage:   "COMMAND [ARG...]",
		Description: "All namespaces are new unless some are named: --uts --pid makes just these two.",
		Flags:       runFlags(),
		Action: func(ctx *cli.Context) error {
			c, err := containerFromFlags(ctx)
			if err != nil {
				return err
			}
			status, err := run(c)
			return withStatus(status, err)
		},
	}
}

func runFlags() []cli.Flag {
	return slices.Concat(namespaceFlags(), containerFlags(), memoryFlags(), limitFlags())
}
