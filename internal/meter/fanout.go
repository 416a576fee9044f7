package meter

import "sync"

// workers is how many ledger calls a pump has under way at once.
const workers = 8

// forEach calls do for all items, several at once. When the first calls all
// fail it gives up on the rest, so that a ledger that is away costs a few
// time-outs and not one per tenant. It returns the items that failed or were
// not tried, and the first error.
func forEach[T any](items []T, do func(T) error) ([]T, error) {
	var (
		mu       sync.Mutex
		wg       sync.WaitGroup
		failed   []T
		finished int
		first    error
	)
	hopeless := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(failed) >= workers && len(failed) == finished
	}
	slots := make(chan struct{}, workers)
	tried := 0
	for _, item := range items {
		slots <- struct{}{}
		if hopeless() {
			break
		}
		tried++
		wg.Go(func() {
			defer func() { <-slots }()
			err := do(item)
			mu.Lock()
			defer mu.Unlock()
			finished++
			if err == nil {
				return
			}
			failed = append(failed, item)
			if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	return append(failed, items[tried:]...), first
}
