package config

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/sluice-gateway/sluice/config/foreign"
	"github.com/sluice-gateway/sluice/config/userfile"
)

// Load reads the configuration file at path and the files that it names. An
// error of type *Error lists every mistake; another one means that path itself
// cannot be read. The value of an environment variable comes from env, where
// "" is unset.
func Load(path string, env func(string) string) (*Config, error) {
	return Reload(nil, path, env)
}

// LoadToRead is Load for commands that only read: secrets and other variables that only
// a gateway that serves needs may be unset. Their values are as they are written then.
func LoadToRead(path string, env func(string) string) (*Config, error) {
	data, err := userfile.Read(path)
	if err != nil {
		return nil, err
	}
	return load(&decoder{env: env, reading: true, unset: map[string]bool{}}, path, data)
}

// Reload is Load for a configuration that was loaded before, in the same
// environment: of included files it decodes only those whose contents are not
// those of previous. Both share the values of the others, which nobody may change.
// Without previous it is Load.
func Reload(previous *Config, path string, env func(string) string) (*Config, error) {
	read := userfile.Read
	if previous != nil {
		read = userfile.Again
	}
	data, err := read(path)
	if errors.Is(err, userfile.ErrEmpty) && previous != nil {
		err = fmt.Errorf("%w, and was not", err)
	}
	if err != nil {
		return nil, err
	}
	return load(&decoder{env: env, previous: previous}, path, data)
}

// LoadPrices reads the price books in the program and then those in files, which
// win. Nothing but Prices of the result is set. Errors are those of Load.
func LoadPrices(files []string, env func(string) string) (*Config, error) {
	d, c := &decoder{env: env}, &Config{}
	main := d.newTree("", nil)
	d.shippedPrices(main, c)
	for _, name := range files {
		name, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		data, err := userfile.Read(name)
		if err != nil {
			return nil, err
		}
		if root, ok := d.parseFile(name, data); ok {
			d.appendBook(c, main, root)
		}
	}
	c.source = &source{files: d.files, at: main.at}
	return d.result(c)
}

// ParseBook reads a price book that is in no file yet. Errors are those of Load.
func ParseBook(name string, data []byte) (*PriceBook, error) {
	d, c := &decoder{env: func(string) string { return "" }}, &Config{}
	main := d.newTree("", nil)
	if root, ok := d.parseFile(name, data); ok {
		d.appendBook(c, main, root)
	}
	c.source = &source{files: d.files, at: main.at}
	if _, err := d.result(c); err != nil {
		return nil, err
	}
	return &c.Prices[0], nil
}

func load(d *decoder, name string, data []byte) (*Config, error) {
	c := defaults()
	main := d.newTree(name, data)
	d.shippedPrices(main, c)
	d.shippedModels(c)
	return d.settle(main, data, c)
}

// settle reads the main file over the defaults in c, then what it names.
func (d *decoder) settle(main *tree, data []byte, c *Config) (*Config, error) {
	if body := d.parseYAML(main.file, data); body != nil {
		if root := (value{main, body, ""}); d.meant(root, foreign.Configuration) {
			rootSection(d, root, c)
		}
		d.unreadable = d.unreadable || !isMapping(body)
	}
	c.DataDir = absolute(main.file, c.DataDir)
	if d.unreadable { // whatever else is missing is missing because of that
		c.source = &source{files: d.files, at: main.at, shipped: d.shipped}
		return d.result(c)
	}
	d.include(main, c)
	c.Terms = d.terms
	c.source = &source{files: d.files, parts: d.parts, globs: d.includes, at: main.at, shipped: d.shipped}
	c.source.unset = d.unset
	known := faultPaths(d.faults)
	maps.Copy(known, d.unset)
	for _, p := range validate(c, d.env, known) {
		if !known[p.Path] { // else the value was not read
			d.faults = append(d.faults, c.source.fault(p))
		}
	}
	return d.result(c)
}

// meant reports whether a file may be of a kind. One that is known to be another is a fault, and only that.
func (d *decoder) meant(root value, wanted foreign.Kind) bool {
	what := foreign.What(wanted, root.node)
	if what != "" {
		d.unreadable = true
		d.fault(root, "%s", what)
	}
	return what == ""
}

// result is c, or the mistakes in it.
func (d *decoder) result(c *Config) (*Config, error) {
	faults := onePerPlace(d.faults)
	if faultError(faults) != nil {
		return nil, &Error{Faults: faults, Partial: c}
	}
	return c, nil
}

func faultPaths(faults []Fault) map[string]bool {
	paths := map[string]bool{}
	for _, f := range faults {
		paths[f.Path] = true
	}
	return paths
}

// newTree starts another file.
func (d *decoder) newTree(name string, data []byte) *tree {
	f := newFile(name, data)
	f.order = len(d.files)
	d.files = append(d.files, f)
	return &tree{file: f, anchors: map[string]ast.Node{}, at: map[string]place{}}
}

// include reads the tenants and cascades of further files. Those that d.previous
// read from the same text are not decoded again.
func (d *decoder) include(main *tree, c *Config) {
	known := map[string]*part{}
	if d.previous != nil {
		for i := range d.previous.source.parts {
			p := &d.previous.source.parts[i]
			known[p.file.name] = p
		}
		c.Tenants = slices.Grow(c.Tenants, len(d.previous.Tenants))
	}
	for i, pattern := range d.includes {
		if pattern == "" {
			continue // it could not be read
		}
		at := main.at[fmt.Sprintf("include[%d]", i)]
		for _, name := range d.matches(at, pattern) {
			data, err := userfile.Text(name)
			if err != nil {
				d.faultAt(at, "include", "%s", userfile.Why(name, err))
				continue
			}
			p := part{hash: sha256.Sum256(data), size: len(data), ended: bytes.HasSuffix(data, []byte("\n"))}
			p.tenants.from, p.cascades.from = len(c.Tenants), len(c.Cascades)
			if before := known[name]; before != nil && before.hash == p.hash {
				d.takeOver(&p, before, c)
			} else {
				d.decodePart(&p, name, data, c)
			}
			p.tenants.to, p.cascades.to = len(c.Tenants), len(c.Cascades)
			d.parts = append(d.parts, p)
			keepFirst(main, p, data)
		}
	}
}

// keepFirst remembers the lists of p when they are the first, and drops the text
// of its file otherwise.
func keepFirst(main *tree, p part, data []byte) {
	p.file.lines = nil
	for list, at := range p.lists {
		if _, has := main.at[list]; !has {
			main.at[list], p.file.lines = at, newFile(p.file.name, data).lines
		}
	}
}

// takeOver makes p what before was in the previous configuration.
func (d *decoder) takeOver(p, before *part, c *Config) {
	p.file = &file{name: before.file.name, order: len(d.files)}
	d.files = append(d.files, p.file)
	p.nodes, p.lists = before.nodes, make(map[string]place, len(before.lists))
	for list, at := range before.lists {
		at.file = p.file
		p.lists[list] = at
	}
	if d.nodes += p.nodes; d.nodes > maxNodes {
		d.faultAt(place{file: p.file, line: 1, col: 1, width: 1}, "", "more than %d values", maxNodes)
	}
	old := d.previous
	c.Tenants = append(c.Tenants, old.Tenants[before.tenants.from:before.tenants.to]...)
	c.Cascades = append(c.Cascades, old.Cascades[before.cascades.from:before.cascades.to]...)
}

// decodePart reads an included file.
func (d *decoder) decodePart(p *part, name string, data []byte, c *Config) {
	further, before := d.newTree(name, data), d.nodes
	p.file, p.lists = further.file, map[string]place{}
	if body := d.parseYAML(further.file, data); body != nil {
		includedSection(d, value{further, body, ""}, c)
	}
	p.nodes = d.nodes - before
	for _, list := range []string{"tenants", "cascades"} {
		if at, has := further.at[list]; has {
			p.lists[list] = at
		}
	}
}

// matches returns the files of a glob in order. A pattern without a star that
// names no file is a fault; a directory may be empty.
func (d *decoder) matches(at place, pattern string) []string {
	if strings.ContainsAny(pattern, "*?[") && !readable(d, at, pattern) {
		return nil
	}
	names, err := filepath.Glob(pattern)
	if err == nil && len(names) == 0 && !strings.ContainsAny(pattern, "*?[") {
		err = fmt.Errorf("there is no file %s", pattern)
	}
	main, _ := filepath.Abs(at.file.name)
	own := slices.Index(names, main)
	switch {
	case errors.Is(err, filepath.ErrBadPattern):
		d.faultAt(at, "include", `"[" and "\" are signs of a pattern here: a "]" is missing, or a "\" before the "["`)
	case err != nil:
		d.faultAt(at, "include", "%v", err)
	case own >= 0:
		d.faultAt(at, "include", "this file would include itself")
		names = slices.Delete(names, own, own+1)
	}
	slices.Sort(names)
	return names
}

// path reads the name of a file and makes it absolute: relative names are
// relative to the file that has them. "" stays empty.
func path(d *decoder, v value, dst *string) {
	text(d, v, dst)
	if *dst != "" && d.shape == nil {
		*dst = absolute(v.file, *dst)
	}
}

// pathOrStdout is path, but for the name of the standard output.
func pathOrStdout(d *decoder, v value, dst *string) {
	if text(d, v, dst); *dst != "stdout" {
		path(d, v, dst)
	}
}

// pathOrBucket is path, but for a prefix of an S3 bucket.
func pathOrBucket(d *decoder, v value, dst *string) {
	text(d, v, dst)
	if rest, ok := strings.CutPrefix(*dst, "s3://"); !ok {
		path(d, v, dst)
	} else if bucket, _, _ := strings.Cut(rest, "/"); bucket == "" || strings.ContainsAny(rest, " ?#%") {
		d.fault(v, "is no s3://bucket/prefix")
	}
}

func absolute(f *file, name string) string {
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(f.name), name)
	}
	if abs, err := filepath.Abs(name); err == nil {
		name = abs
	}
	return name
}

// further parses the file that the scalar v names.
func (d *decoder) further(v value, name string) (value, bool) {
	if d.shape != nil {
		return value{}, false
	}
	data, err := userfile.Text(name)
	if err != nil {
		d.fault(v, "%s", userfile.Why(name, err))
		return value{}, false
	}
	before := len(d.faults)
	root, ok := d.parseFile(name, data)
	if !ok && len(d.faults) == before {
		d.fault(v, "the file %s is empty", name)
	}
	return root, ok
}

// parseFile parses a file whose paths are its own.
func (d *decoder) parseFile(name string, data []byte) (value, bool) {
	t := d.newTree(name, data)
	body := d.parseYAML(t.file, data)
	return value{t, body, ""}, body != nil
}

// Unmatched warns of globs of include that match no file.
func (c *Config) Unmatched() []Problem {
	var all []Problem
	for i, pattern := range c.source.globs {
		if names, err := filepath.Glob(pattern); err == nil && len(names) == 0 {
			all = append(all, Problem{Path: fmt.Sprintf("include[%d]", i), Warning: true,
				Message: "there is no file " + pattern + " yet: nothing is included"})
		}
	}
	return all
}

// Files returns the files that the configuration was read from, the main one
// first: a change of any is a new configuration.
func (c *Config) Files() []string {
	names := make([]string, len(c.source.files))
	for i, f := range c.source.files {
		names[i] = f.name
	}
	return names
}

// Included returns the files that the globs of include match now, in order: also
// those that appeared since the configuration was read.
func (c *Config) Included() []string {
	var names []string
	for _, pattern := range c.source.globs {
		matches, _ := filepath.Glob(pattern) // it was a good pattern when it was read
		names = append(names, matches...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
