package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/config/userfile"
)

// fixed are the keys that a running gateway cannot take anew, in the order of the
// documentation: each with how it is compared and how the old value is kept. A reload
// applies every other key.
var fixed = []struct {
	key  string
	same func(old, next *Config) bool
	keep func(old, next *Config)
}{
	{"listen", func(a, b *Config) bool { return a.Listen == b.Listen }, func(a, b *Config) { b.Listen = a.Listen }},
	{"tls", func(a, b *Config) bool { return (a.TLS == nil) == (b.TLS == nil) }, func(a, b *Config) { b.TLS = a.TLS }},
	{"admin.listen", func(a, b *Config) bool { return a.Admin.Listen == b.Admin.Listen },
		func(a, b *Config) { b.Admin.Listen = a.Admin.Listen }},
	{"data_dir", func(a, b *Config) bool { return a.DataDir == b.DataDir }, func(a, b *Config) { b.DataDir = a.DataDir }},
	{"journal", func(a, b *Config) bool { return a.Journal == b.Journal }, func(a, b *Config) { b.Journal = a.Journal }},
	{"admin.advertise", func(a, b *Config) bool { return a.Admin.Advertise == b.Admin.Advertise },
		func(a, b *Config) { b.Admin.Advertise = a.Admin.Advertise }},
	{"decisions", func(a, b *Config) bool { return a.Decisions == b.Decisions },
		func(a, b *Config) { b.Decisions = a.Decisions }},
	{"export", func(a, b *Config) bool { return a.Export == b.Export }, func(a, b *Config) { b.Export = a.Export }},
	{"ledger", func(a, b *Config) bool { return a.Ledger == b.Ledger }, func(a, b *Config) { b.Ledger = a.Ledger }},
	{"timeouts.keep_alive", func(a, b *Config) bool { return a.Timeouts.KeepAlive == b.Timeouts.KeepAlive },
		func(a, b *Config) { b.Timeouts.KeepAlive = a.Timeouts.KeepAlive }},
	{"telemetry.otlp", func(a, b *Config) bool { return a.Telemetry.OTLP == b.Telemetry.OTLP },
		func(a, b *Config) { b.Telemetry.OTLP = a.Telemetry.OTLP }},
	{"telemetry.access_log", func(a, b *Config) bool { return a.Telemetry.AccessLog == b.Telemetry.AccessLog },
		func(a, b *Config) { b.Telemetry.AccessLog = a.Telemetry.AccessLog }},
}

// Keep gives next the values of old for the keys that a running gateway cannot take, and
// returns those of them that differed. They need a restart. Of tls that is only whether
// there is any: other files of a certificate are taken.
func Keep(old, next *Config) []string {
	var keys []string
	for _, k := range fixed {
		if !k.same(old, next) {
			keys = append(keys, k.key)
			k.keep(old, next)
		}
	}
	return keys
}

// Losses are what a configuration lacks that previous had, and most probably not because
// anybody wanted that: files that are empty or end within a line, folders that are gone.
// They make it unfit for a reload.
func Losses(previous, next *Config) []Problem {
	var all []Problem
	lost := func(path, format string, args ...any) {
		all = append(all, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	before, now := previous.source.main(), next.source.main()
	switch {
	case strings.TrimSpace(now) == "" && strings.TrimSpace(before) != "":
		lost("", "the file is empty, and was not: it is not taken")
		return all
	case len(now) < len(before) && strings.HasPrefix(before, now) && midLine(now, before):
		lost("", "the file ends within a line, where it went on before: it looks cut off, and is not taken")
	}
	if _, written := next.source.at["tenants"]; !written && len(next.Tenants) == 0 && len(previous.Tenants) > 0 {
		lost("", "no tenants are left of %d, so that every caller would be refused: it looks cut off, and is not taken. "+
			"Write \"tenants: []\" if that is meant", len(previous.Tenants))
	}
	return append(append(all, emptied(previous, next)...), vanished(previous, next)...)
}

func midLine(now, before string) bool {
	return !strings.HasSuffix(now, "\n") && before[len(now)] != '\n' && before[len(now)] != '\r'
}

// main is the text of the main file.
func (s *source) main() string {
	if len(s.files) == 0 {
		return ""
	}
	return strings.Join(s.files[0].lines, "\n")
}

// emptied finds included files that had tenants or cascades and have none, without an
// empty list that says so.
func emptied(previous, next *Config) []Problem {
	var all []Problem
	parts := map[string]*part{}
	for i := range next.source.parts {
		parts[next.source.parts[i].file.name] = &next.source.parts[i]
	}
	for i := range previous.source.parts {
		old := &previous.source.parts[i]
		now := parts[old.file.name]
		if now == nil || old.members() == 0 {
			continue
		}
		switch {
		case now.members() == 0 && len(now.lists) == 0:
			all = append(all, Problem{Path: "include", Message: fmt.Sprintf("%s is empty, and had %d tenants or "+
				"cascades: it is not taken. Remove the file if that is meant", old.file.name, old.members())})
		case now.size < old.size && !now.ended && old.ended:
			all = append(all, Problem{Path: "include", Message: fmt.Sprintf("%s ends without a newline, which it had: it looks "+
				"cut off, and is not taken", old.file.name)})
		}
	}
	return all
}

// members is how many tenants and cascades a part has.
func (p *part) members() int { return p.tenants.to - p.tenants.from + p.cascades.to - p.cascades.from }

// Shortened says what files lost at their ends since previous, "" for nothing. Somebody
// may have removed that, or a file was cut between two lines.
func (c *Config) Shortened(previous *Config) string {
	before, now := previous.source.main(), c.source.main()
	var said []string
	if len(now) < len(before) && strings.HasPrefix(before, now) {
		var keys []string
		for _, key := range previous.source.sections() {
			if _, has := c.source.at[key]; !has {
				keys = append(keys, key)
			}
		}
		if len(keys) > 0 {
			said = append(said, "the main file ends where it had "+strings.Join(keys, ", "))
		} else if n := len(previous.Tenants) - len(c.Tenants); n > 0 {
			said = append(said, fmt.Sprintf("the main file ends where it had more tenants: %d fewer", n))
		}
	}
	parts := map[string]*part{}
	for i := range previous.source.parts {
		parts[previous.source.parts[i].file.name] = &previous.source.parts[i]
	}
	for i := range c.source.parts {
		p := &c.source.parts[i]
		if old := parts[p.file.name]; old != nil && p.shortens(c, old, previous) {
			said = append(said, fmt.Sprintf("an included file ends where it had more: %d fewer", old.members()-p.members()))
		}
	}
	return strings.Join(said, "; ")
}

// shortens reports whether a part has the first tenants of an earlier one and no more.
func (p *part) shortens(c *Config, old *part, previous *Config) bool {
	id := func(a, b Tenant) bool { return a.ID == b.ID }
	is, was := c.Tenants[p.tenants.from:p.tenants.to], previous.Tenants[old.tenants.from:old.tenants.to]
	return p.size < old.size && p.members() < old.members() && 0 < len(is) && len(is) <= len(was) &&
		slices.EqualFunc(is, was[:len(is)], id)
}

// sections are the keys of the main file.
func (s *source) sections() []string {
	var keys []string
	for path := range s.at {
		if path != "" && !strings.ContainsAny(path, ".[") {
			keys = append(keys, path)
		}
	}
	slices.Sort(keys)
	return keys
}

// readable reports a folder of an include that cannot be read. One that is not there may
// come.
func readable(d *decoder, at place, pattern string) bool {
	err := listable(folderOf(pattern))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return true
	}
	d.faultAt(at, "include", "%s", userfile.Why(folderOf(pattern), err))
	return false
}

// folderOf is the folder that must be there for a glob to match anything.
func folderOf(pattern string) string {
	folder := filepath.Dir(pattern)
	for strings.ContainsAny(folder, `*?[\`) {
		folder = filepath.Dir(folder)
	}
	return folder
}

// vanished finds folders of includes that had files and are gone.
func vanished(previous, next *Config) []Problem {
	var all []Problem
	for i, pattern := range next.source.globs {
		if !errors.Is(listable(folderOf(pattern)), fs.ErrNotExist) {
			continue
		}
		had := 0
		for k := range previous.source.parts {
			if matched, _ := filepath.Match(pattern, previous.source.parts[k].file.name); matched {
				had++
			}
		}
		if had > 0 {
			all = append(all, Problem{Path: fmt.Sprintf("include[%d]", i), Message: fmt.Sprintf(
				"the folder %s is gone, and had %s: that is not taken", folderOf(pattern), plural(had, "file"))})
		}
	}
	return all
}

// listable fails when a folder cannot be read.
func listable(folder string) error {
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // it was only read
	if _, err = dir.Readdirnames(1); errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
