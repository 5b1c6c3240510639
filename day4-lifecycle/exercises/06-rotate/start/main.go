// Copies the lines of the file input to the file log, which grows and grows.
package main

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	input, err := os.Open("input")
	check(err)
	log, err := os.OpenFile("log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	check(err)
	for lines := bufio.NewScanner(input); lines.Scan(); {
		_, err := fmt.Fprintln(log, lines.Text())
		check(err)
	}
}

func check(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}
