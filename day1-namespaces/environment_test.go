package main

import (
	"os"
	"testing"

	"example.com/go-docker/day1-namespaces/container"
)

func TestCommandGetsThatEnvironmentOnly(t *testing.T) {
	cmd := inContainer(t, "--hostname", "box", "env")
	cmd.Env = append(cmd.Env, "HOME=/home/me", "SECRET=x")
	finish(t, cmd).want(t, "PATH="+os.Getenv("PATH")+"\nHOME=/home/me\nHOSTNAME=box\n")
}

func TestCommandIsFoundInItsOwnPath(t *testing.T) {
	cmd := inContainer(t, "sh")
	cmd.Env = append(cmd.Env, "PATH=/no/such/directory")
	got := finish(t, cmd)
	if got.status != container.NotFound {
		t.Errorf("%+v", got)
	}
}
