// Package similar finds the name that somebody probably meant.
package similar

import "strings"

// Nearest returns the name that s was probably meant to be, or "". Upper and lower
// case are the same. Of several that are as near it is the first.
func Nearest(s string, names []string) string {
	best, found := 1+max(1, len(s)/3), ""
	for _, name := range names {
		if name == s || len(name)-len(s) >= best || len(s)-len(name) >= best {
			continue
		}
		if n := Distance(strings.ToLower(s), strings.ToLower(name)); n < best {
			best, found = n, name
		}
	}
	return found
}

// Hint is `; did you mean "name"?` with the name that s was probably meant to be, or "".
func Hint(s string, names []string) string {
	if near := Nearest(s, names); near != "" {
		return `; did you mean "` + near + `"?`
	}
	return ""
}

// Distance is how many bytes must be inserted, removed, replaced or swapped with
// their neighbour to make b of a.
func Distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
