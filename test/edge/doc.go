// Package edge attacks the built gateway from outside, over loopback, and prints what
// held in numbers (docs/reliability.md). A new goal is a function that returns a row,
// and a line in rows.
package edge
