package embedded_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/sluice-gateway/sluice/internal/meter/embedded"
)

// TestUnreadClosings: what cannot be read is an error, and not the end of the file: without its marks, closed months
// would change.
func TestUnreadClosings(t *testing.T) {
	if all, err := embedded.ReadClosings(t.TempDir()); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("%v, %v", all, err)
	}
}
