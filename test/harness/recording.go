package harness

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Recording is one real exchange.
type Recording struct {
	ID              string            `json:"id"`
	Method          string            `json:"method"`
	Path            string            `json:"path"`
	RequestHeaders  map[string]string `json:"request_headers"`
	RequestBody     Bytes             `json:"request_body"`
	Status          int               `json:"status"`
	ResponseHeaders map[string]string `json:"response_headers"`
	ResponseBody    Bytes             `json:"response_body"`
}

// Bytes is a recorded body.
type Bytes []byte

// UnmarshalJSON reads {"text": …} or {"base64": …}.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	var v struct {
		Text   string `json:"text"`
		Base64 string `json:"base64"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	if v.Base64 == "" {
		*b = Bytes(v.Text)
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(v.Base64)
	*b = raw
	return err
}

// Recordings reads every *.jsonl of the recordings folder, or of the folder
// that SLUICE_RECORDINGS names.
func Recordings(t testing.TB) []*Recording {
	t.Helper()
	dir := os.Getenv("SLUICE_RECORDINGS")
	if dir == "" {
		dir = Shared(t, "recordings")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Skipf("SKIPPED: no recordings in %s", dir)
	}
	var all []*Recording
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			r := new(Recording)
			if err := json.Unmarshal(lines.Bytes(), r); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			all = append(all, r)
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
