package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func SHA256(content []byte) v1.Hash {
	sum := sha256.Sum256(content)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

const AnySize = -1

// Verify passes r on and fails at its end if the digest or the size does not
// match. Content is not verified until it has been read to the end.
func Verify(r io.Reader, what string, digest v1.Hash, size int64) io.Reader {
	return &verifier{r, NewDigester(io.Discard), what, digest, size}
}

type verifier struct {
	r      io.Reader
	read   *Digester
	what   string
	digest v1.Hash
	size   int64
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.read.Write(p[:n])
	switch {
	case v.size != AnySize && v.read.Size > v.size:
		err = fmt.Errorf("%s %s is longer than %d bytes", v.what, v.digest, v.size)
	case err == io.EOF && v.size != AnySize && v.read.Size < v.size:
		err = fmt.Errorf("%s %s ends after %d of %d bytes", v.what, v.digest, v.read.Size, v.size)
	case err == io.EOF && v.read.Digest() != v.digest:
		err = fmt.Errorf("%s %s is damaged: its digest is %s", v.what, v.digest, v.read.Digest())
	}
	return n, err
}

// A Digester computes the digest of what is written through it.
type Digester struct {
	w    io.Writer
	hash hash.Hash
	Size int64
}

func NewDigester(w io.Writer) *Digester { return &Digester{w: w, hash: sha256.New()} }

func (d *Digester) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	d.hash.Write(p[:n])
	d.Size += int64(n)
	return n, err
}

func (d *Digester) Digest() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(d.hash.Sum(nil))}
}
