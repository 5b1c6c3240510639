package logfile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// Options are those of Docker's json-file driver.
type Options struct {
	MaxSize int64 // bytes in a file; 0: no limit
	MaxFile int   // files; 0 is 1
}

// ParseOptions reads the values of --log-opt: max-size=10m, max-file=3.
func ParseOptions(texts []string) (Options, error) {
	var o Options
	for _, text := range texts {
		name, value, _ := strings.Cut(text, "=")
		var err error
		switch name {
		case "max-size":
			o.MaxSize, err = units.RAMInBytes(value)
		case "max-file":
			var n uint64
			n, err = strconv.ParseUint(value, 10, 10)
			o.MaxFile = int(n)
		default:
			err = errors.New("unknown")
		}
		if err == nil && (o.MaxSize < 0 || strings.Trim(value, "0") == "") {
			err = errors.New("want max-size=SIZE or max-file=1 to 1023")
		}
		if err != nil {
			return o, fmt.Errorf("invalid --log-opt %q: %w", text, err)
		}
	}
	if o.MaxFile > 1 && o.MaxSize == 0 {
		return o, fmt.Errorf("invalid --log-opt: max-file needs max-size")
	}
	return o, nil
}
