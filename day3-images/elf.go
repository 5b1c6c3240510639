package main

import (
	"debug/elf"
	"fmt"
	"io"
	"strings"
)

// interpreter returns the loader that a program asks for, or "" when it is
// statically linked. elf(5), PT_INTERP
func interpreter(program string) (string, error) {
	file, err := elf.Open(program)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", program, err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			name, err := io.ReadAll(p.Open())
			return strings.TrimRight(string(name), "\x00"), err
		}
	}
	return "", nil
}
