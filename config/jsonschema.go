package config

import (
	"encoding/json"
	"time"
)

// shape is the JSON Schema of a value. A decoder that has one reads nothing: the
// functions that would read a value describe it instead, so that the tables in
// schema.go are the only ones.
type shape map[string]any

// Schema returns a JSON Schema (draft 2020-12) of configuration files, for
// editors. It has every key with its form and its default. What depends on other
// values only Load checks, and prices and models have files of their own.
func Schema() []byte {
	root := shape{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "Configuration of Sluice",
		"$defs": shape{"variable": shape{
			"type": "string", "pattern": `\$\{`, "description": "${NAME} or ${NAME:-default}",
		}},
	}
	d := &decoder{shape: root}
	rootSection(d, value{}, defaults())
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("BUG: the schema is no JSON: " + err.Error())
	}
	return append(text, '\n')
}

// shapeOf is the schema of what f reads.
func shapeOf[T any](f decode[T]) shape {
	d := &decoder{shape: shape{}}
	f(d, value{}, new(T))
	return d.shape
}

// scalar makes s the schema of a form, or of a variable that is replaced by one.
func (s shape) scalar(f form) {
	if f.wanted != "" {
		s["description"] = f.wanted
	}
	s["anyOf"] = []shape{f.schema, {"$ref": "#/$defs/variable"}}
}

// section makes s the schema of a mapping with these keys and no others.
func (s shape) section(fields []field) {
	properties, required := shape{}, []string{}
	for _, f := range fields {
		d := &decoder{shape: shape{}}
		f.decode(d, value{})
		properties[f.name] = d.shape
		if f.required {
			required = append(required, f.name)
		}
	}
	s["type"], s["properties"], s["additionalProperties"] = "object", properties, false
	if len(required) > 0 {
		s["required"] = required
	}
}

// preset notes the default of a scalar: what its variable holds before anything
// is read. Empty ones mean that there is none.
func (s shape) preset(value any) {
	if s["anyOf"] == nil {
		return // no scalar
	}
	switch v := value.(type) {
	case time.Duration:
		if v != 0 {
			s["default"] = v.String()
		}
	case string, Unpriced:
		if v != "" && v != Unpriced("") {
			s["default"] = v
		}
	case int, int64, float64:
		if v != 0 && v != int64(0) && v != 0.0 {
			s["default"] = v
		}
	case bool:
		s["default"] = v
	}
}
