package answer

import (
	"regexp"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Callers write schemas for models, which read anything, so a schema may have a part
// that no validator can read. That part is left out, and the rest is checked.

// keywordKinds says what the value of a keyword has to be, for keywords that are
// often something else: a required that is a boolean, as drafts before 4 had it.
var keywordKinds = map[string]func(any) bool{
	"required": isList, "enum": isList, "anyOf": isList, "oneOf": isList, "allOf": isList,
	"properties": isObject, "patternProperties": isObject, "definitions": isObject, "$defs": isObject,
	"minimum": isNumber, "maximum": isNumber, "exclusiveMinimum": isNumber, "exclusiveMaximum": isNumber,
	"minLength": isNumber, "maxLength": isNumber, "minItems": isNumber, "maxItems": isNumber, "multipleOf": isNumber,
	"minProperties": isNumber, "maxProperties": isNumber, "pattern": isString, "format": isString,
	"items": isSchema, "additionalProperties": isSchema, "not": isSchema, "if": isSchema, "then": isSchema,
	"else": isSchema,
	"type": isType, "$schema": isDraft, "$id": never, "id": never,
}

func isList(v any) bool { list, ok := v.([]any); return ok && len(list) > 0 }

func isObject(v any) bool { _, ok := v.(map[string]any); return ok }

func isString(v any) bool { _, ok := v.(string); return ok }

func never(any) bool { return false }

func isNumber(v any) bool {
	_, list := v.([]any)
	_, flag := v.(bool)
	return v != nil && !list && !flag && !isObject(v) && !isString(v)
}

func isSchema(v any) bool {
	_, flag := v.(bool)
	return flag || isObject(v) || isList(v)
}

func isDraft(v any) bool { s, ok := v.(string); return ok && strings.Contains(s, "json-schema.org/") }

func isType(v any) bool {
	types := []string{"null", "boolean", "object", "array", "number", "string", "integer"}
	if list, ok := v.([]any); ok {
		return len(list) > 0 && !slices.ContainsFunc(list, func(e any) bool { return !isString(e) || !isType(e) })
	}
	s, ok := v.(string)
	return ok && slices.Contains(types, s)
}

// relaxed is a schema without keywords that cannot be read, and without references
// out of it; with refs false, without any.
func relaxed(schema any, refs bool) any {
	object, ok := schema.(map[string]any)
	if !ok {
		return schema
	}
	out := make(map[string]any, len(object))
	for name, v := range object {
		fits := keywordKinds[name]
		switch {
		case name == "$ref" || name == "$dynamicRef":
			if s, ok := v.(string); !ok || !refs || !strings.HasPrefix(s, "#") {
				continue
			}
		case fits != nil && !fits(v):
			continue
		}
		out[name] = relaxedPart(name, v, refs)
	}
	return out
}

// relaxedPart is the value of a keyword with every schema in it relaxed.
func relaxedPart(name string, v any, refs bool) any {
	switch name {
	case "properties", "patternProperties", "definitions", "$defs":
		named := make(map[string]any)
		for key, sub := range v.(map[string]any) { //nolint:forcetypeassert // keywordKinds has looked
			named[key] = relaxed(sub, refs)
		}
		return named
	case "anyOf", "oneOf", "allOf", "items":
		list, ok := v.([]any)
		if !ok {
			return relaxed(v, refs)
		}
		all := make([]any, len(list))
		for i, sub := range list {
			all[i] = relaxed(sub, refs)
		}
		return all
	case "additionalProperties", "not", "if", "then", "else":
		return relaxed(v, refs)
	}
	return v
}

// pattern is a regular expression; a nil one could not be read, and matches.
type pattern struct{ *regexp.Regexp }

// MatchString reports whether the pattern does not rule s out.
func (p pattern) MatchString(s string) bool { return p.Regexp == nil || p.Regexp.MatchString(s) }

// String is the pattern as it was written, "" when it could not be read.
func (p pattern) String() string {
	if p.Regexp == nil {
		return ""
	}
	return p.Regexp.String()
}

// readPattern reads ECMAScript's patterns as far as Go's are the same, and notes
// that one is not. None of them backtracks.
func readPattern(unread *bool) jsonschema.RegexpEngine {
	return func(s string) (jsonschema.Regexp, error) {
		re, err := regexp.Compile(s)
		if err != nil {
			*unread = true
			return pattern{}, nil //nolint:nilerr // the rest of the schema is checked without it
		}
		return pattern{re}, nil
	}
}
