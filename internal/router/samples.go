package router

import (
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// samples are the requests on which every condition runs once at load: one that
// has nothing, and one that has something of everything.
func samples() []*view {
	now := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	bare := &view{in: &Input{Facts: &wire.Facts{Op: wire.OpInvoke}, Now: now}}
	full := &view{
		in: &Input{
			Facts: &wire.Facts{
				Op: wire.OpConverseStream, Stream: true,
				TextBytes: 4096, InputTokens: 1024, Turns: 3, Images: 1, Documents: 1, Tools: 1,
				MaxTokens: wire.Known(500), ThinkingTokens: wire.Known(1024),
			},
			Asked: "sample", Tenant: "sample/one", Root: "sample", Key: "SAMPLE", Now: now,
		},
		text:     extract{value: types.String("sample text")},
		system:   extract{value: types.String("sample system prompt")},
		headers:  extract{value: anyKey{types.NewStringStringMap(types.DefaultTypeAdapter, nil)}},
		metadata: extract{value: anyKey{types.NewStringStringMap(types.DefaultTypeAdapter, nil)}},
	}
	return []*view{bare, full}
}

// anyKey is a map that has every key, because a sample cannot know which ones a
// condition will ask for.
type anyKey struct{ traits.Mapper }

const sampleValue = types.String("1")

// Contains implements traits.Container.
func (anyKey) Contains(ref.Val) ref.Val { return types.True }

// Find implements traits.Mapper.
func (anyKey) Find(ref.Val) (ref.Val, bool) { return sampleValue, true }

// Get implements traits.Indexer.
func (anyKey) Get(ref.Val) ref.Val { return sampleValue }
