//go:build !race

package gateway

// slower is 1 where nothing slows the runs.
const slower = 1
