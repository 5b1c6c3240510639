// Package cli makes a program behave like Docker on the command line: -ti means
// -t -i, errors are one line on stderr, and the exit status says whether the
// runtime or the command failed. The ladder has no rung for it, because its
// programs take no flags.
package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day1-namespaces/container"
)

// Run runs the program, prints its error if there is one, and returns the exit
// status: that of a container.StatusError, or 125 for any other error.
func Run(app *urfave.App, args []string) int {
	logrus.SetFormatter(plainFormatter{})
	urfave.FlagStringer = flagInHelp
	return exitStatus(dockerLike(app).Run(args))
}

var inFull = urfave.FlagStringer

// flagInHelp formats a flag's line of help to fit in 100 columns: "--env, -e
// LIST", where the library has "--env LIST, -e LIST [ --env LIST, -e LIST ]".
func flagInHelp(f urfave.Flag) string {
	names, usage, _ := strings.Cut(inFull(f), "\t")
	names, _, _ = strings.Cut(names, " [ ")
	if first, _, _ := strings.Cut(names, ", "); strings.Contains(first, " ") {
		_, value, _ := strings.Cut(first, " ")
		names = strings.ReplaceAll(names, " "+value+", ", ", ")
	}
	return names + "\t" + usage
}

// dockerLike shortens usage errors to one line and makes an unknown command an
// error.
func dockerLike(app *urfave.App) *urfave.App {
	app.UseShortOptionHandling = true
	app.DisableSliceFlagSeparator = true // -e A=1,2 is one variable
	app.HideHelpCommand = true
	app.ExitErrHandler = func(*urfave.Context, error) {}
	app.OnUsageError = usageError
	for _, command := range app.Commands {
		for _, c := range append(command.Subcommands, command) {
			c.HideHelpCommand = true
			c.OnUsageError = usageError
		}
	}
	action := app.Action
	app.Action = func(ctx *urfave.Context) error {
		if ctx.Args().Present() {
			return fmt.Errorf("unknown command %q: see %s --help", ctx.Args().First(), app.Name)
		}
		return action(ctx)
	}
	app.ErrWriter = io.Discard // logrus speaks to stderr, once
	return app
}

func usageError(_ *urfave.Context, err error, _ bool) error {
	return errors.New(strings.TrimPrefix(err.Error(), "Incorrect Usage: "))
}

// plainFormatter prints "error: message" on one line, whatever is in the
// message.
type plainFormatter struct{}

func (plainFormatter) Format(e *logrus.Entry) ([]byte, error) {
	return fmt.Appendf(nil, "%s: %s\n", e.Level, Printable(strings.TrimSpace(e.Message))), nil
}

// Printable replaces control characters: a message may quote text from
// anywhere, and that text must not move the cursor or set the terminal's title.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// exitStatus prints the error and returns the exit status for it.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	failed := container.StatusError{Status: container.RuntimeError, Err: err}
	errors.As(err, &failed)
	if failed.Err != nil || err.Error() != failed.Error() {
		logrus.Error(err)
	}
	return failed.Status
}
