package layer

import (
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
