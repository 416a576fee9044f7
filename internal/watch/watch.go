// Package watch notices that the contents of files change. It looks at the files
// rather than waiting for events, which miss how mounted files change, and reads
// a file again only when it may be another one.
package watch

import (
	"crypto/sha256"
	"io/fs"
	"os"
	"time"
)

// Hash identifies the contents of all files together.
type Hash [sha256.Size]byte

// settled is how old a change must be before the state of a file identifies its
// contents: within the resolution of the file system's clock there may be a
// second change that leaves the same state.
const settled = 2 * time.Second

// Files knows the files that it looked at last. The zero value knows none.
type Files struct{ known map[string]file }

// file is what is known of one file.
type file struct {
	state   fs.FileInfo // nil: there is none
	hash    Hash
	trusted bool // the state identifies the contents
}

// Hash looks at the files names, at the time now. A file that cannot be read is
// a kind of contents too. Files that are in names no more are forgotten.
func (f *Files) Hash(names []string, now time.Time) Hash {
	next := make(map[string]file, len(names))
	all := sha256.New()
	for _, name := range names {
		known, has := next[name]
		if !has {
			known = f.known[name].look(name, now)
			next[name] = known
		}
		all.Write([]byte(name))
		all.Write([]byte{0})
		all.Write(known.hash[:])
	}
	f.known = next
	return Hash(all.Sum(nil))
}

// look returns what is known of the file now.
func (f file) look(name string, now time.Time) file {
	state, err := os.Stat(name)
	if err != nil {
		return file{hash: sha256.Sum256([]byte(err.Error()))}
	}
	if !state.Mode().IsRegular() {
		return file{hash: sha256.Sum256([]byte(state.Mode().Type().String()))} // to read a pipe may take forever
	}
	if f.trusted && same(f.state, state) {
		return f
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return file{hash: sha256.Sum256([]byte(err.Error()))}
	}
	changed := state.ModTime()
	if c := changedAt(state); c.After(changed) {
		changed = c
	}
	return file{state: state, hash: sha256.Sum256(data), trusted: now.Sub(changed) > settled}
}

// same reports whether two states are of the same contents.
func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) &&
		changedAt(a).Equal(changedAt(b))
}
