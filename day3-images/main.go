// Day 3, images: from a limited process to docker run IMAGE.
//
//	day3-images                              an image of three layers, run and looked into
//	day3-images run [OPTIONS] IMAGE [COMMAND] [ARG...]
//	day3-images pull|load|save|import|images|history|inspect|tag|rmi|commit|rm ...
//
// For example:
//
//	# go run ./day3-images
//	# go run ./day3-images import busybox.tar busybox
//	# go run ./day3-images run -ti -m 100m -v /srv:/data busybox sh
//
// New today: a store of images in the OCI layout, layers unpacked once and
// shared, overlayfs, a root of the container's own, and pivot_root(2).
//
// Exit status: the command's own; 128+n when signal n killed it; 127 when it
// was not found, 126 when it could not be executed, 125 for every other error.
package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
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
	err := checkAddressSpace()
	if err == nil {
		err = newApp().Run(os.Args)
	}
	os.Exit(exitStatus(err))
}

// checkAddressSpace refuses to begin what Go's runtime would end with a dump of
// its stacks. It reserves much more than it uses, and below 750 MiB does not
// even come as far as here.
func checkAddressSpace() error {
	const enough = 1 << 30
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &limit); err != nil {
		return fmt.Errorf("read the limit of our address space: %w", err)
	}
	if limit.Cur < enough {
		return fmt.Errorf("the address space is limited to %d KiB, and a Go program needs %d: ulimit -v unlimited", limit.Cur>>10, enough>>10)
	}
	return nil
}

func newApp() *cli.App {
	app := &cli.App{
		Name:            "day3-images",
		Usage:           "from a limited process to docker run IMAGE",
		HideHelpCommand: true,
		Flags: append(demoFlags(),
			&cli.StringFlag{Name: "root", Value: "/var/lib/go-docker", EnvVars: []string{"GO_DOCKER_ROOT"}, Usage: "`DIRECTORY` of images and containers"},
			&cli.StringFlag{Name: "log-level", Value: "info", Usage: "debug, info, warn or error"}),
		Before:   setLogLevel,
		Action:   demo,
		Commands: append([]*cli.Command{runCommand(), rmCommand, statsCommand, payloadCommand, hogCommand}, imageCommands()...),
	}
	return dockerLike(app)
}

func runCommand() *cli.Command {
	return &cli.Command{
		Name:        "run",
		Usage:       "run a command in a new container of an image",
		ArgsUsage:   "IMAGE [COMMAND] [ARG...]",
		Description: "All namespaces are new but the user namespace, unless some are named.",
		Flags:       runFlags(),
		Action:      runImage,
	}
}

func runFlags() []cli.Flag {
	return slices.Concat(namespaceFlags(), containerFlags(), memoryFlags(), limitFlags(), settingFlags(), []cli.Flag{insecureFlag()})
}

func setLogLevel(ctx *cli.Context) error {
	level, err := logrus.ParseLevel(ctx.String("log-level"))
	if err != nil {
		return fmt.Errorf("invalid --log-level: %w", err)
	}
	logrus.SetLevel(level)
	return nil
}
