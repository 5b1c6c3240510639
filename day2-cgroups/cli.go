package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"
)

// dockerLike gives an app Docker's manners: -ti means -t -i, a usage error is
// one line on stderr, an unknown command is an error.
func dockerLike(app *cli.App) *cli.App {
	app.UseShortOptionHandling = true
	app.DisableSliceFlagSeparator = true // -e A=1,2 is one variable
	app.ExitErrHandler = func(*cli.Context, error) {}
	app.OnUsageError = usageError
	for _, c := range app.Commands {
		c.UseShortOptionHandling = true
		c.HideHelpCommand = true
		c.OnUsageError = usageError
	}
	if action := app.Action; action != nil {
		app.Action = func(ctx *cli.Context) error {
			if ctx.Args().Present() {
				return fmt.Errorf("unknown command %q: see %s --help", ctx.Args().First(), app.Name)
			}
			return action(ctx)
		}
	}
	app.ErrWriter = io.Discard // logrus speaks to stderr, once
	return app
}

func usageError(_ *cli.Context, err error, _ bool) error {
	return errors.New(strings.TrimPrefix(err.Error(), "Incorrect Usage: "))
}

// plainFormatter prints "error: message" on one line, whatever the message.
type plainFormatter struct{}

func (plainFormatter) Format(e *logrus.Entry) ([]byte, error) {
	return fmt.Appendf(nil, "%s: %s\n", e.Level, printable(strings.TrimSpace(e.Message))), nil
}

// printable replaces control characters: what a message quotes may come from
// anywhere, and must not move the cursor or set the terminal's title.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// exitStatus prints what went wrong and returns the status to exit with.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	failed := statusError{status: exitRuntimeError, err: err}
	errors.As(err, &failed)
	if failed.err != nil || err.Error() != failed.Error() {
		logrus.Error(err)
	}
	return failed.status
}
