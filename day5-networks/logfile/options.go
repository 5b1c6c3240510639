package logfile

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// Options are those of Docker's json-file driver.
type Options struct {
	MaxSize int64 // bytes of a file; 0: no limit
	MaxFile int   // files; 0 is 1
}

func (o Options) files() int { return max(o.MaxFile, 1) }

// ParseOptions reads the values of --log-opt: max-size=10m, max-file=3.
func ParseOptions(texts []string) (Options, error) {
	var o Options
	for _, text := range texts {
		name, value, _ := strings.Cut(text, "=")
		var err error
		switch name {
		case "max-size":
			o.MaxSize, err = units.RAMInBytes(value)
			if err == nil && o.MaxSize <= 0 {
				err = fmt.Errorf("%q is no size", value)
			}
		case "max-file":
			o.MaxFile, err = strconv.Atoi(value)
			if err == nil && (o.MaxFile < 1 || o.MaxFile > 1000) {
				err = fmt.Errorf("%d is not 1 to 1000", o.MaxFile)
			}
		default:
			err = fmt.Errorf("unknown: there are max-size and max-file")
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
