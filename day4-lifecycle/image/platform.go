package image

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// HostPlatform returns the platform of this machine. The names are the same as
// Go's.
func HostPlatform() v1.Platform { return v1.Platform{OS: "linux", Architecture: runtime.GOARCH} }

// ParsePlatform reads --platform: OS/ARCH or OS/ARCH/VARIANT.
func ParsePlatform(s string) (v1.Platform, error) {
	p, err := v1.ParsePlatform(strings.ToLower(s))
	if err != nil || p.OS == "" || p.Architecture == "" || p.OSVersion != "" || p.String() != strings.ToLower(s) {
		return v1.Platform{}, errors.New("want OS/ARCHITECTURE like linux/arm64 or linux/arm/v7")
	}
	return *p, nil
}

// baseVariants are the variants that every processor of an architecture can
// run.
var baseVariants = map[string]string{"amd64": "v1", "arm64": "v8", "arm": "v7"}

// CheckPlatform refuses an image that is known to be for another platform.
func CheckPlatform(c *v1.ConfigFile, want v1.Platform) error {
	if is := platformOf(c); Fit(*is, want) == 0 {
		return fmt.Errorf("no image for %s: there is %s (--platform %s gets it all the same)", want, is, is)
	}
	return nil
}

// platformOf returns the platform of an image, as far as its configuration
// states it.
func platformOf(c *v1.ConfigFile) *v1.Platform {
	return &v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}
}

// Fit rates a match: higher is better, 0 is no match.
func Fit(p, want v1.Platform) int {
	base := baseVariants[want.Architecture]
	switch {
	case p.OS == "" && p.Architecture == "": // unknown
		return 1
	case p.OS != want.OS || p.Architecture != want.Architecture:
		return 0
	case cmp.Or(p.Variant, base) == cmp.Or(want.Variant, base):
		return 2
	case want.Variant == "":
		return 1
	}
	return 0
}
