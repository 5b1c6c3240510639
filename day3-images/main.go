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
