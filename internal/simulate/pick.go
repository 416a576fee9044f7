package simulate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrModel is wrapped by errors about a model's name.
var ErrModel = errors.New("which model is meant?")

// Pick finds a model by its id or by a part of it that no other id of the list
// has: "claude-3.5-haiku". A part starts where a word of the id starts; case,
// dots and colons are as good as dashes. It fails with ErrModel and names what
// fits.
func Pick(ids []string, name string) (string, error) {
	if slices.Contains(ids, name) {
		return name, nil
	}
	var found []string
	for _, id := range ids {
		if name != "" && strings.Contains("-"+plain(id), "-"+plain(name)) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("%w no model with a price is called %q; there are %s", ErrModel, name, strings.Join(ids, ", "))
	default:
		return "", fmt.Errorf("%w %q fits %s", ErrModel, name, strings.Join(found, ", "))
	}
}

func plain(s string) string {
	return strings.NewReplacer(".", "-", ":", "-", "_", "-", " ", "-").Replace(strings.ToLower(s))
}
