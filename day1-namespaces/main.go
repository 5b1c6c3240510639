// Day 1, namespaces: a process that sees a machine of its own.
//
//	day1-namespaces                             host and container side by side
//	day1-namespaces run [OPTIONS] COMMAND [ARG...]
//
// For example:
//
//	# go run ./day1-namespaces run -ti sh
//	# hostname; ps; ip link
//
// New today: the seven namespaces of namespaces(7), a child that blocks on a
// pipe until its parent is ready, private mounts, and a PID 1 that reaps.
//
// Exit status: the command's own; 128+n when signal n killed it; 127 when it
// was not found, 126 when it could not be executed, 125 for every other error.
package main

import (
	"os"
	"runtime"

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
		Name:            "day1-namespaces",
		Usage:           "a process that sees a machine of its own",
		HideHelpCommand: true,
		Flags:           []cli.Flag{formatFlag},
		Action:          demo,
		Commands:        []*cli.Command{runCommand(), factsCommand},
	}
	return dockerLike(app)
}

func runCommand() *cli.Command {
	return &cli.Command{
		Name:        "run",
		Usage:       "run a command in new namespaces",
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
	return append(namespaceFlags(), containerFlags()...)
}
