package testkit

// Parts of documents, to be combined.
const (
	ADigest     = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	OCIManifest = `"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"`
	OCIIndex    = `"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"`
	OCIConfig   = `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"` + ADigest + `"}`
)

// Ptr returns a pointer to v.
func Ptr[T any](v T) *T { return &v }
