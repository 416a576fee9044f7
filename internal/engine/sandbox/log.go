package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Entry is one line of the truth log: what one call was billed. Calls that were
// refused have a line of zeros.
type Entry struct {
	Time      time.Time `json:"time"`
	RequestID string    `json:"request_id"` // as in x-amzn-RequestId
	Operation string    `json:"operation"`  // wire.Operation's name
	Model     string    `json:"model"`      // as asked for, decoded; empty where the path has none

	// Tier is the service tier that it asked for, empty for none.
	Tier string `json:"tier,omitempty"`
	// Mantle is whether it was for the host bedrock-mantle.
	Mantle bool `json:"mantle,omitempty"`

	// Tokens billed, in disjoint classes.
	Input        int64 `json:"input"`
	Output       int64 `json:"output"`
	CacheRead    int64 `json:"cache_read"`
	CacheWrite5m int64 `json:"cache_write_5m"`
	CacheWrite1h int64 `json:"cache_write_1h"`
	// GuardrailUnits are text units billed, by the guardrail operations
	// and by Converse with a guardrail.
	GuardrailUnits int64 `json:"guardrail_units,omitempty"`

	Status    int               `json:"status"` // HTTP status, 0 when there was no answer
	ErrorType string            `json:"error_type,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"` // the call's request metadata
	Stream    bool              `json:"stream"`
	// Complete is whether the answer was sent whole, usage and all, as far as
	// the stand-in could tell before it sent the last of it.
	Complete bool `json:"complete"`
	// Note names what was unusual: client_gone, or the fault of the script.
	Note string `json:"note,omitempty"`
}

// invocation is one line of Bedrock's own invocation log (Bedrock user guide,
// "Monitor model invocation"), without bodies. Calls that were refused have none.
type invocation struct {
	SchemaType      string            `json:"schemaType"`
	SchemaVersion   string            `json:"schemaVersion"`
	Timestamp       string            `json:"timestamp"`
	AccountID       string            `json:"accountId"`
	Region          string            `json:"region"`
	RequestID       string            `json:"requestId"`
	Operation       string            `json:"operation"`
	ModelID         string            `json:"modelId"`
	Input           invocationInput   `json:"input"`
	Output          invocationOutput  `json:"output"`
	RequestMetadata map[string]string `json:"requestMetadata,omitempty"`
}

type invocationInput struct {
	ContentType string         `json:"inputContentType"`
	Tokens      int64          `json:"inputTokenCount"`
	CacheRead   int64          `json:"cacheReadInputTokenCount,omitempty"`
	CacheWrite  int64          `json:"cacheWriteInputTokenCount,omitempty"`
	Details     []cacheDetails `json:"cacheDetails,omitempty"`
}

type invocationOutput struct {
	ContentType string `json:"outputContentType"`
	Tokens      int64  `json:"outputTokenCount"`
}

const account = config.SandboxAccount

func newInvocation(c *call, e *Entry) *invocation {
	in := &invocation{
		SchemaType: "ModelInvocationLog", SchemaVersion: "1.0",
		Timestamp: e.Time.UTC().Format(time.RFC3339), AccountID: account, Region: c.region,
		RequestID: e.RequestID, Operation: c.op.APIName(), ModelID: e.Model,
		RequestMetadata: e.Metadata,
	}
	in.Input = invocationInput{"application/json", e.Input, e.CacheRead, e.CacheWrite5m + e.CacheWrite1h,
		cacheWrites(e.CacheWrite5m, e.CacheWrite1h)}
	in.Output = invocationOutput{"application/json", e.Output}
	return in
}

// truth is the two log files and the newest entries in memory.
type truth struct {
	served, invocations *lineFile // nil when not configured

	mu      sync.Mutex // guards what follows
	recent  []Entry
	dropped int
}

// keepEntries bounds the memory of Server.Log.
const keepEntries = 100_000

// record returns after the entry is on disk.
func (t *truth) record(c *call, e *Entry) error {
	if err := t.served.append(e); err != nil {
		return err
	}
	if modelOperation(c.op) && (e.Status == http.StatusOK || e.Note == noteHang) {
		if err := t.invocations.append(newInvocation(c, e)); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.recent) == keepEntries {
		t.dropped += keepEntries / 2
		t.recent = append(t.recent[:0], t.recent[keepEntries/2:]...)
	}
	t.recent = append(t.recent, *e)
	return nil
}

// modelOperation reports whether Bedrock's invocation log has lines for op.
func modelOperation(op wire.Operation) bool {
	return op.Writes()
}

func (t *truth) entries() (recent []Entry, dropped int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Entry(nil), t.recent...), t.dropped
}

func (t *truth) close() error {
	err := t.served.close()
	if other := t.invocations.close(); err == nil {
		err = other
	}
	return err
}

// lineFile is an append-only file of JSON lines. Writers that come while one is
// at the disk share the next write and the next sync. A failure stays, because
// what is on disk after it is not known.
type lineFile struct {
	file *os.File
	sync func(*lineFile) error // syncDisk or syncNot

	mu              sync.Mutex // guards what follows
	idle            sync.Cond
	pending         []byte
	added, settled  uint64
	writing, closed bool
	err             error
}

// openLineFile returns nil for no path.
func openLineFile(path string, sync func(*lineFile) error) (*lineFile, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	l := &lineFile{file: f, sync: sync}
	l.idle.L = &l.mu
	return l, nil
}

func (l *lineFile) syncDisk() error { return l.file.Sync() }

// syncNot is for a log that the real service writes minutes later.
func (l *lineFile) syncNot() error { return nil }

// append writes v as one line and returns when it is on disk. It does nothing
// on a nil file.
func (l *lineFile) append(v any) error {
	if l == nil {
		return nil
	}
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("sandbox log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	l.pending = append(append(l.pending, line...), '\n')
	l.added++
	for mine := l.added; l.settled < mine && l.err == nil; {
		if l.writing {
			l.idle.Wait()
			continue
		}
		l.flush()
	}
	return l.err
}

// flush writes what is pending. The lock is held on entry and on return, but
// not at the disk. Callers that are ready to run get the processor first, so
// that their lines share the sync; where there are none nothing is waited for.
func (l *lineFile) flush() {
	l.writing = true
	l.mu.Unlock()
	runtime.Gosched()
	l.mu.Lock()
	batch, last := l.pending, l.added
	l.pending = nil
	l.mu.Unlock()
	_, err := l.file.Write(batch)
	if err == nil {
		err = l.sync(l)
	}
	l.mu.Lock()
	l.writing, l.settled = false, last
	if l.err == nil {
		l.err = err
	}
	l.idle.Broadcast()
}

func (l *lineFile) close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.writing {
		l.idle.Wait()
	}
	l.closed = true
	return l.file.Close()
}
