package redis

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// maxShapes bounds the memory for ids of shapes; at the bound they are asked
// for again.
const maxShapes = 100_000

//go:embed scripts/intern.lua
var internLua string

// shapes are the ids of shapes that are known, by root. A shape is what a row is
// about, all but its time. They are safe for concurrent use.
type shapes struct {
	intern *goredis.Script

	mu    sync.Mutex                   // guards the following
	ids   map[string]map[string]string // by text, by root
	count int
}

// of returns the id of every shape in the sums, asking Redis for those that are
// not known yet.
func (s *shapes) of(
	ctx context.Context, client goredis.UniversalClient, root string, sums map[record.RowKey]record.Counters,
) (map[string]string, error) {
	ids, missing := s.known(root, sums)
	if len(missing) == 0 {
		return ids, nil
	}
	args := make([]any, len(missing))
	for i, text := range missing {
		args[i] = text
	}
	k := keysOf(root)
	found, err := s.intern.Run(ctx, client, []string{
		k.marks(), k.shapes(), k.damage(), k.copyOf(k.marks()), k.copyOf(k.shapes()),
	}, args...).StringSlice()
	if err != nil {
		return nil, failed(err)
	}
	if len(found) != len(missing) {
		return nil, fmt.Errorf("%w: the script answered %d ids for %d", ErrDamaged, len(found), len(missing))
	}
	for i, text := range missing {
		ids[text] = found[i]
	}
	s.keep(root, missing, found)
	return ids, nil
}

func (s *shapes) known(root string, sums map[record.RowKey]record.Counters) (ids map[string]string, missing []string) {
	ids = make(map[string]string)
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range sums {
		text := shapeOf(key)
		if _, seen := ids[text]; seen {
			continue
		}
		id, known := s.ids[root][text]
		ids[text] = id
		if !known {
			missing = append(missing, text)
		}
	}
	slices.Sort(missing)
	return ids, missing
}

func (s *shapes) keep(root string, texts, ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count+len(texts) > maxShapes {
		clear(s.ids)
		s.count = 0
	}
	if s.ids[root] == nil {
		s.ids[root] = make(map[string]string)
	}
	before := len(s.ids[root])
	for i, text := range texts {
		s.ids[root][text] = ids[i]
	}
	s.count += len(s.ids[root]) - before
}

func (s *shapes) forget(root string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count -= len(s.ids[root])
	delete(s.ids, root)
}
