package controlplane

import (
	"cmp"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// Bounds of a page (service model, MaxResults), and how long it is when nobody says.
const minPage, maxPage, usualPage = 1, 1000, 100

// page is the part of a list that is asked for.
type page struct {
	after string // key of the last entry of the page before, "" for the first page
	size  int
}

// pageOf reads maxResults and nextToken.
func pageOf(query url.Values) (page, *wire.Error) {
	p := page{size: usualPage}
	if query.Has("maxResults") {
		given := query.Get("maxResults")
		n, err := strconv.Atoi(given)
		switch {
		case err != nil && !errors.Is(err, strconv.ErrRange): // of a number out of range, n is the nearest
			return p, wire.Errorf(wire.KindValidation, "maxResults must be a number.")
		case n < minPage:
			return p, constraint(given, "maxResults", "have value greater than or equal to "+strconv.Itoa(minPage))
		case n > maxPage:
			return p, constraint(given, "maxResults", "have value less than or equal to "+strconv.Itoa(maxPage))
		}
		p.size = n
	}
	if query.Has("nextToken") {
		after, err := base64.RawURLEncoding.DecodeString(query.Get("nextToken"))
		if kind, key, _ := strings.Cut(string(after), " "); err != nil || key == "" ||
			kind != systemDefined && kind != application {
			return p, wire.Errorf(wire.KindValidation, "The provided nextToken is invalid.")
		}
		p.after = string(after)
	}
	return p, nil
}

// take returns a page of entries that are in the order of their keys, but for which comes
// first, and the token of the next page, "" after the last one. A page begins where the
// one before ended, also when entries have come or gone meanwhile.
func take[T any](p page, all []T, key func(T) string) (shown []T, next string) {
	if p.after != "" {
		i := slices.IndexFunc(all, func(e T) bool { return key(e) == p.after })
		if i >= 0 {
			all = all[i+1:]
		} else {
			all = slices.DeleteFunc(slices.Clone(all), func(e T) bool { return order(key(e), p.after) < 0 })
		}
	}
	if len(all) <= p.size {
		return all, ""
	}
	shown = all[:p.size]
	return shown, base64.RawURLEncoding.EncodeToString([]byte(key(shown[len(shown)-1])))
}

// order compares keys as lists of profiles are sorted: system-defined ones come first.
func order(a, b string) int {
	kindA, idA, _ := strings.Cut(a, " ")
	kindB, idB, _ := strings.Cut(b, " ")
	return cmp.Or(cmp.Compare(kindB, kindA), cmp.Compare(idA, idB))
}

// oneOf refuses a value of the query that is not in an enumeration; nil takes any.
func oneOf(query url.Values, name string, values []string) *wire.Error {
	given := query.Get(name)
	if given == "" || values == nil || slices.Contains(values, given) {
		return nil
	}
	return constraint(given, name, "satisfy enum value set: ["+strings.Join(values, ", ")+"]")
}

// constraint is how Bedrock words a value that its service model does not allow.
func constraint(given, name, must string) *wire.Error {
	return wire.Errorf(wire.KindValidation,
		"1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must %s", given, name, must)
}
