package keys

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// usedFile has when keys were used last, in a data directory.
const usedFile = "keys.used"

// used is when keys were used last, in Unix seconds, as far as this gateway knows.
type used struct {
	path string

	mu      sync.Mutex // guards the following
	at      map[string]int64
	unkept  bool             // the file lacks some of it
	unnoted map[string]int64 // what the board lacks
}

func (u *used) open(dataDir string) {
	u.path = filepath.Join(dataDir, usedFile)
	u.at, u.unnoted = ReadUsed(dataDir), map[string]int64{}
}

// ReadUsed reads when keys were last used at the gateway of a data directory, in
// Unix seconds. What cannot be read is as if it were not there: it is for people.
func ReadUsed(dataDir string) map[string]int64 {
	at := map[string]int64{}
	if text, err := os.ReadFile(filepath.Join(dataDir, usedFile)); err == nil {
		if err := json.Unmarshal(text, &at); err != nil || at == nil {
			return map[string]int64{}
		}
	}
	return at
}

// UsedEvery is how exact the last use of a key is.
const UsedEvery = time.Minute

// Touch notes that a key was used. It is called once in UsedEvery for each key.
func (b *Book) Touch(id string, now time.Time) {
	u := &b.used
	u.mu.Lock()
	defer u.mu.Unlock()
	if at := now.Unix(); at > u.at[id] {
		u.at[id], u.unnoted[id], u.unkept = at, at, true
	}
}

// Used is when a key was used last, zero when that is not known.
func (b *Book) Used(id string) time.Time {
	u := &b.used
	u.mu.Lock()
	defer u.mu.Unlock()
	if at := u.at[id]; at > 0 {
		return time.Unix(at, 0).UTC()
	}
	return time.Time{}
}

// NoteUsed writes down which keys were used, here and for other gateways.
func (b *Book) NoteUsed(ctx context.Context) error {
	u := &b.used
	u.mu.Lock()
	notes := u.unnoted
	u.unnoted = map[string]int64{}
	u.mu.Unlock()
	var failed error
	if b.opts.Board != nil && len(notes) > 0 {
		if _, failed = b.opts.Board.Used(ctx, notes); failed != nil {
			u.mu.Lock()
			for id, at := range notes {
				u.unnoted[id] = max(u.unnoted[id], at)
			}
			u.mu.Unlock()
		}
	}
	return errors.Join(failed, u.keep())
}

// HearUsed learns when other gateways saw keys last.
func (b *Book) HearUsed(ctx context.Context) error {
	if b.opts.Board == nil {
		return nil
	}
	all, err := b.opts.Board.Used(ctx, nil)
	u := &b.used
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, at := range all {
		u.at[id] = max(u.at[id], at)
	}
	return err
}

// keep writes the file, renamed into place.
func (u *used) keep() error {
	u.mu.Lock()
	at, unkept := maps.Clone(u.at), u.unkept
	u.unkept = false
	u.mu.Unlock()
	if !unkept {
		return nil
	}
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	if err := os.WriteFile(u.path+".part", text, 0o600); err != nil {
		return err
	}
	return os.Rename(u.path+".part", u.path)
}
