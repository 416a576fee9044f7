package audit

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config/userfile"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Invocation is a line of Bedrock's model invocation log, as far as it says
// what was billed (Bedrock user guide, "Monitor model invocation using
// CloudWatch Logs and Amazon S3"). Bodies and identities are not read.
type Invocation struct {
	Where           string `json:"-"` // file and line
	SchemaType      string
	Timestamp       time.Time
	RequestID       string
	Operation       string // as in the service model: Converse, InvokeModel, …
	ModelID         string
	ErrorCode       string
	RequestMetadata map[string]string
	Input           struct {
		InputTokenCount           *int64
		CacheReadInputTokenCount  int64
		CacheWriteInputTokenCount int64
		CacheDetails              []struct {
			TTL         string
			InputTokens int64
		}
	}
	Output struct{ OutputTokenCount *int64 }
}

// maxLine bounds a line: the log holds bodies of up to 100 KB.
const maxLine = 1 << 20

// Record is the id of the usage record that the call was tagged with, "" for
// none.
func (i *Invocation) Record() string { return i.RequestMetadata[record.TagKey] }

// Model is the id that was sent upstream: Bedrock logs foundation models and
// system profiles by their ARNs, of which the id is the last part.
func (i *Invocation) Model() string { return wire.PlainID(i.ModelID) }

// End is how the call ended by this line: failed and not billed when it names
// an error and no tokens. It reports false when the line does not say.
func (i *Invocation) End(id string) (*record.End, bool) {
	e := &record.End{ID: id, AWSRequestID: i.RequestID}
	if i.Output.OutputTokenCount == nil && i.Input.InputTokenCount == nil || i.ErrorCode != "" && i.tokens() == 0 {
		e.Outcome = record.Failed
		return e, i.ErrorCode != ""
	}
	if i.Input.InputTokenCount == nil {
		return nil, false
	}
	e.Outcome = record.Completed
	u := &e.Usage
	u.Input, u.CacheRead = wire.Known(*i.Input.InputTokenCount), wire.Known(i.Input.CacheReadInputTokenCount)
	u.Output = wire.Known(0) // a guardrail may have blocked the input
	if n := i.Output.OutputTokenCount; n != nil {
		u.Output = wire.Known(*n)
	}
	var hour int64
	for _, d := range i.Input.CacheDetails {
		if d.TTL == "1h" {
			hour += d.InputTokens
		}
	}
	u.CacheWrite1h = wire.Known(hour)
	u.CacheWrite5m = wire.Known(i.Input.CacheWriteInputTokenCount - hour)
	return e, u.CacheWrite5m.N >= 0
}

func (i *Invocation) tokens() (n int64) {
	for _, p := range []*int64{i.Input.InputTokenCount, i.Output.OutputTokenCount} {
		if p != nil {
			n += *p
		}
	}
	return n + i.Input.CacheReadInputTokenCount + i.Input.CacheWriteInputTokenCount
}

// readLog yields the lines of one file of an invocation log, plain or gzipped
// as in S3. A line that is not of the log is an error: half a log would let
// calls look as if they never were.
func readLog(name string, r io.Reader, yield func(*Invocation)) error {
	plain, err := userfile.Unzipped(r)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	lines := bufio.NewScanner(plain)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		i := &Invocation{Where: fmt.Sprintf("%s:%d", name, n)}
		if err := json.Unmarshal(lines.Bytes(), i); err != nil {
			return fmt.Errorf("%s: %w", i.Where, err)
		}
		if i.SchemaType != "ModelInvocationLog" || i.RequestID == "" {
			return fmt.Errorf("%s: not a line of a model invocation log", i.Where)
		}
		yield(i)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
