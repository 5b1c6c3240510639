package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// payload is what the tests have this binary do where a shell would not do.
func payload(name string, args []string) int {
	err := map[string]func([]string) error{
		"exchange": exchange,
	}[name](args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "payload:", err)
		return 99
	}
	return 0
}

// exchange swaps two names for ever.
func exchange(args []string) error {
	for {
		if err := unix.Renameat2(unix.AT_FDCWD, args[0], unix.AT_FDCWD, args[1], unix.RENAME_EXCHANGE); err != nil {
			return err
		}
	}
}
