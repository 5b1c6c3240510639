// Package boot tells one boot of the machine from another: what is on record of
// processes, locks and links means nothing after the next. The ladder's programs
// keep no records.
package boot

import (
	"fmt"
	"os"
	"strings"
)

// ID names this boot of the machine. random(4)
func ID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("find out when the machine was booted: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
