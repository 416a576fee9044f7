//go:build race

package gateway

// slower is how many times fewer random runs there are under the race detector, whose look
// is at each step and not at how many there are.
const slower = 20
