package router

import (
	"fmt"
	"maps"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// The types of the variables that conditions see.
var (
	requestType = cel.ObjectType("sluice.Request")
	tenantType  = cel.ObjectType("sluice.Tenant")
	keyType     = cel.ObjectType("sluice.Key")
	textMap     = cel.MapType(cel.StringType, cel.StringType)
)

// fields are the words of the conditions, by type: each with its CEL type and
// how a view reads it.
var fields = map[string]map[string]*types.FieldType{
	"sluice.Request": {
		"model":     field(cel.StringType, func(v *view) any { return types.String(v.in.Asked) }),
		"operation": field(cel.StringType, func(v *view) any { return types.String(v.in.Facts.Op.String()) }),
		"dialect":   field(cel.StringType, func(v *view) any { return types.String(v.dialect()) }),
		"stream":    field(cel.BoolType, func(v *view) any { return types.Bool(v.in.Facts.Stream) }),

		"input_tokens": number(func(v *view) int64 { return int64(v.in.Facts.InputTokens) }),
		"text_bytes":   number(func(v *view) int64 { return int64(v.in.Facts.TextBytes) }),
		"turns":        number(func(v *view) int64 { return int64(v.in.Facts.Turns) }),
		"images":       number(func(v *view) int64 { return int64(v.in.Facts.Images) }),
		"documents":    number(func(v *view) int64 { return int64(v.in.Facts.Documents) }),
		"tools":        number(func(v *view) int64 { return int64(v.in.Facts.Tools) }),
		// A request that names no number of these has 0.
		"max_tokens":      number(func(v *view) int64 { return v.in.Facts.MaxTokens.N }),
		"thinking_tokens": number(func(v *view) int64 { return v.in.Facts.ThinkingTokens.N }),

		"text":     lazy(cel.StringType, (*view).readText),
		"system":   lazy(cel.StringType, (*view).readSystem),
		"headers":  lazy(textMap, (*view).readHeaders),
		"metadata": lazy(textMap, (*view).readMetadata),
	},
	"sluice.Tenant": {
		"id":   field(cel.StringType, func(v *view) any { return types.String(v.in.Tenant) }),
		"root": field(cel.StringType, func(v *view) any { return types.String(v.in.Root) }),
	},
	"sluice.Key": {
		"id": field(cel.StringType, func(v *view) any { return types.String(v.in.Key) }),
	},
}

// longest are the sizes that the fields can reach: bytes of a string, entries
// of a map. Ids are bounded by the wire, headers by the edge, metadata by
// Bedrock (16 pairs in Converse, 8,500 bytes in a header).
var longest = map[string]uint64{
	"request.model": 2048, "request.operation": 40, "request.dialect": 40,
	"request.text": maxTextBytes, "request.system": maxTextBytes,
	"request.headers": 4096, "request.headers.@keys": 65536, "request.headers.@values": 65536,
	"request.metadata": 2048, "request.metadata.@keys": 8500, "request.metadata.@values": 8500,
	"tenant.id": 1024, "tenant.root": 1024, "key.id": 128,
}

func field(of *cel.Type, read func(*view) any) *types.FieldType {
	return lazy(of, func(v *view) (any, error) { return read(v), nil })
}

func number(read func(*view) int64) *types.FieldType {
	return field(cel.IntType, func(v *view) any { return types.Int(read(v)) })
}

// lazy makes a field that is read when an evaluation comes to it, and that may
// fail. Every field is always set.
func lazy(of *cel.Type, read func(*view) (any, error)) *types.FieldType {
	return &types.FieldType{
		Type:    of,
		IsSet:   func(any) bool { return true },
		GetFrom: func(target any) (any, error) { return read(viewOf(target)) },
	}
}

func viewOf(target any) *view {
	v, ok := target.(*view)
	if !ok {
		panic(fmt.Sprintf("BUG: a field of the request is read from a %T", target))
	}
	return v
}

// vocabulary teaches CEL the fields, so that a mistyped word is found at load.
type vocabulary struct{ *types.Registry }

func newVocabulary() vocabulary {
	registry, err := types.NewRegistry()
	if err != nil {
		panic("BUG: an empty registry: " + err.Error())
	}
	return vocabulary{registry}
}

// NativeToValue implements types.Adapter. It has no value for a request as a
// whole: CEL's own adapter would print it, with its texts, into an error.
func (p vocabulary) NativeToValue(value any) ref.Val {
	if _, ok := value.(*view); ok {
		return types.NewErr("request, tenant and key have no value of their own, only their fields have")
	}
	return p.Registry.NativeToValue(value)
}

// FindStructType implements types.Provider.
func (p vocabulary) FindStructType(name string) (*types.Type, bool) {
	if _, ok := fields[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Registry.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (p vocabulary) FindStructFieldNames(name string) ([]string, bool) {
	if known, ok := fields[name]; ok {
		return slices.Sorted(maps.Keys(known)), true
	}
	return p.Registry.FindStructFieldNames(name)
}

// FindStructFieldType implements types.Provider.
func (p vocabulary) FindStructFieldType(name, word string) (*types.FieldType, bool) {
	if known, ok := fields[name]; ok {
		f, found := known[word]
		return f, found
	}
	return p.Registry.FindStructFieldType(name, word)
}

// NewValue implements types.Provider: a condition makes no requests of its own.
func (p vocabulary) NewValue(name string, values map[string]ref.Val) ref.Val {
	if _, ok := fields[name]; ok {
		return types.NewErr("%s cannot be made in a condition", name)
	}
	return p.Registry.NewValue(name, values)
}
