// Package inventory names the files in a container's directory that are not one
// room's alone. The ladder's programs know the names of theirs.
package inventory

const (
	// Description says whose directory it is. It is the first to go: without it,
	// what is left is not a container any more.
	Description = "container.json"

	// Lock is held as long as the container is made, runs or is removed, and by
	// whoever changes something in the directory.
	Lock = "lock"
)
