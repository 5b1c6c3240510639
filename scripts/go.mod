module example.com/go-docker/scripts

go 1.25

require (
	github.com/moby/sys/mountinfo v0.7.3
	golang.org/x/sys v0.41.0
)
