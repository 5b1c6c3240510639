package image

import (
	"bytes"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
)

func TestVerify(t *testing.T) {
	content := testkit.Text(100_000)
	digest := SHA256(content)
	read := func(content []byte, size int64) error {
		_, err := bytes.NewBuffer(nil).ReadFrom(Verify(bytes.NewReader(content), "blob", digest, size))
		return err
	}
	for _, size := range []int64{AnySize, 100_000} {
		if err := read(content, size); err != nil {
			t.Error(err)
		}
	}
	for want, err := range map[string]error{
		"is damaged":                read(append([]byte{content[0] ^ 1}, content[1:]...), 100_000),
		"ends after 99999":          read(content[1:], 100_000),
		"is longer than 99999":      read(content, 99_999),
		"is longer than 100000":     read(append(content, 0), 100_000),
		"is damaged: its digest is": read(append(content, 0), AnySize),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
