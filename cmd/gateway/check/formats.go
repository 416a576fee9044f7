package check

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/sluice-gateway/sluice/config"
)

// severity is how programs call a finding, in JSON and in SARIF.
func severity(f *config.Fault) string {
	if f.Warning {
		return "warning"
	}
	return "error"
}

// jsonFinding is one finding in JSON. Line and columns count from 1, in characters; they
// are absent where a finding is about a whole file.
type jsonFinding struct {
	Severity  string `json:"severity"`
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
	Column    int    `json:"column,omitempty"`
	EndColumn int    `json:"end_column,omitempty"`
	Path      string `json:"path,omitempty"`
	Message   string `json:"message"`
}

func (f *findings) json(out io.Writer) error {
	report := struct {
		File     string        `json:"file"`
		Valid    bool          `json:"valid"`
		Errors   int           `json:"errors"`
		Warnings int           `json:"warnings"`
		Findings []jsonFinding `json:"findings"`
		Notes    []string      `json:"notes,omitempty"`
	}{File: f.file, Valid: f.err == nil, Findings: []jsonFinding{}, Notes: f.notes}
	for i := range f.faults {
		of := &f.faults[i]
		if of.Warning {
			report.Warnings++
		} else {
			report.Errors++
		}
		row := jsonFinding{
			Severity: severity(of), File: of.File, Line: of.Line, Column: of.Column, Path: of.Path, Message: of.Message,
		}
		if of.Line > 0 {
			row.EndColumn = of.EndColumn()
		}
		report.Findings = append(report.Findings, row)
	}
	return encode(out, report)
}

func encode(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// object is one of SARIF's.
type object = map[string]any

// sarif prints the findings in the format of OASIS for results of static analysis,
// version 2.1.0, which editors and forges show beside the lines. A rule is the key of
// the configuration that a finding is about.
func (f *findings) sarif(out io.Writer, version string) error {
	results, rules := []object{}, []object{}
	known := map[string]bool{}
	for i := range f.faults {
		of := &f.faults[i]
		rule := ruleOf(of)
		if !known[rule] {
			known[rule] = true
			rules = append(rules, object{"id": rule})
		}
		text := of.Message
		if of.Path != "" {
			text = of.Path + ": " + text
		}
		result := object{"ruleId": rule, "level": severity(of), "message": object{"text": text}}
		if of.File != "" {
			physical := object{"artifactLocation": object{"uri": uriOf(of.File)}}
			if of.Line > 0 {
				physical["region"] = object{"startLine": of.Line, "startColumn": of.Column, "endColumn": of.EndColumn()}
			}
			result["locations"] = []object{{"physicalLocation": physical}}
		}
		results = append(results, result)
	}
	return encode(out, object{
		"$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		"version": "2.1.0",
		"runs": []object{{
			"tool": object{"driver": object{
				"name": "sluice", "version": version, "rules": rules,
			}},
			"columnKind": "unicodeCodePoints",
			"results":    results,
		}},
	})
}

var indexes = regexp.MustCompile(`\[[^\]]*\]`)

// ruleOf is the key that a finding is about, without indexes; "file" for a whole file.
func ruleOf(f *config.Fault) string {
	if f.Path == "" {
		return "file"
	}
	return indexes.ReplaceAllString(f.Path, "")
}

// uriOf is a file as SARIF names it: relative as it was given, or absolute.
func uriOf(file string) string {
	u := url.URL{Path: filepath.ToSlash(file)}
	if filepath.IsAbs(file) {
		u.Scheme = "file"
	}
	return strings.TrimPrefix(u.String(), "./")
}
