package score

import (
	"errors"
	"testing"
)

// TestServed has a loaded score rank as the model that was written, and none
// rank without training.
func TestServed(t *testing.T) {
	rows := madeRows(50)
	model := TrainModel(rows, 1)
	data := model.Encode()
	loaded, err := DecodeModel(data)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Hash() != FileHash(data) || loaded.Hash() == FileHash(nil) {
		t.Errorf("hash %q", loaded.Hash())
	}
	var none *Model
	for i := range rows {
		in := &rows[i].Input
		if got, want := loaded.Risk(in), model.Risk(in); got != want {
			t.Fatalf("risk %v, want the model's %v", got, want)
		}
		if got, want := none.Risk(in), Untrained(in); got != want || none.Hash() != "" {
			t.Fatalf("risk %v without a score, want %v", got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { loaded.Risk(&rows[0].Input) }); n != 0 {
		t.Errorf("%v allocations for a risk", n)
	}
	if _, err := DecodeModel(TrainPreScore(rows, 1).Encode()); !errors.Is(err, ErrFile) {
		t.Errorf("a pre-score as a score: %v", err)
	}
}
