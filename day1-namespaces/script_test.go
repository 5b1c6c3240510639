package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// One specification, run against the last step in shell and against the program.
func TestScript(t *testing.T) {
	needNamespaces(t)
	step, err := filepath.Abs("steps/07-all.sh")
	if err != nil {
		t.Fatal(err)
	}
	for name, container := range map[string][]string{
		"program": {"/proc/self/exe", "run", "-i", "--hostname", "container"},
		"step":    {step},
	} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { noProcesses(t) })
			testscript.Run(t, testscript.Params{
				Files:               []string{"testdata/run.txtar"},
				RequireExplicitExec: true,
				Setup: func(env *testscript.Env) error {
					env.Setenv("GO_DOCKER_BE_PROGRAM", "1")
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"container": func(ts *testscript.TestScript, _ bool, args []string) {
						runInContainer(ts, append(container, args...))
					},
					"status": wantStatus,
				},
			})
		})
	}
}

// container COMMAND [ARG...] runs a command in a container.
func runInContainer(ts *testscript.TestScript, args []string) {
	err := ts.Exec(args[0], args[1:]...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%q: %v", args, err)
	}
	status := 0
	if exit != nil {
		status = exit.ExitCode()
	}
	ts.Setenv("status", strconv.Itoa(status))
}

// status N: the last container's exit status was N.
func wantStatus(ts *testscript.TestScript, neg bool, args []string) {
	if got := ts.Getenv("status"); len(args) != 1 || (got == args[0]) == neg {
		ts.Fatalf("status %s, which is not what status %v asks for", got, args)
	}
}
