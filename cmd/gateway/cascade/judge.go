package cascade

import (
	"fmt"
	"io"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade/rubric"
)

// printAdequate says which grade counts as adequate, in the words of the rubric,
// where a judge grades answers.
func printAdequate(out io.Writer, c *config.Cascade) {
	if from := c.Shadow.Adequate; from > 0 {
		fmt.Fprintf(out, "adequate from grade %d on: %s\n", from, rubric.Words(from))
	}
}
