package logfile

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

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

// ParseTime reads the values of --since and --until, as Docker does: a time, a
// date, seconds since 1970, or how long ago. Without a zone it is local time.
func ParseTime(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(seconds) < 1<<40 {
		whole, part := math.Modf(seconds)
		return time.Unix(int64(whole), int64(part*1e9)), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: write 10m for ten minutes ago, or 2006-01-02T15:04:05", text)
}

// Each calls do for every option that was given, as --log-opt has them.
func (o Options) Each(do func(name, value string)) {
	if o.MaxSize > 0 {
		do("max-size", strconv.FormatInt(o.MaxSize, 10))
	}
	if o.MaxFile > 0 {
		do("max-file", strconv.Itoa(o.MaxFile))
	}
}
