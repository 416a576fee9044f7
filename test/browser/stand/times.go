package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/views"
)

// repeats is how often a page is asked for after the first time.
const repeats = 7

// printTimes writes a line for each view: its name, what it took first, when nothing had been
// read, and then in the median, in microseconds.
func printTimes(w io.Writer, wire func() (http.Handler, *views.Shelf)) error {
	_, shelf := wire()
	for _, v := range shelf.Names(true) {
		handler, _ := wire() // which has read nothing yet
		var took []int64
		for range 1 + repeats {
			began := time.Now()
			if err := ask(handler, v.Name); err != nil {
				return err
			}
			took = append(took, time.Since(began).Microseconds())
		}
		slices.Sort(took[1:])
		if _, err := fmt.Fprintln(w, v.Name, took[0], took[1+repeats/2]); err != nil {
			return err
		}
	}
	return nil
}

func ask(handler http.Handler, view string) error {
	r := httptest.NewRequest(http.MethodGet, "/"+view, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	to := httptest.NewRecorder()
	if handler.ServeHTTP(to, r); to.Code != http.StatusOK {
		return fmt.Errorf("%s: status %d", view, to.Code)
	}
	return nil
}
