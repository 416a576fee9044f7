// Package userfile reads files that a person has named, on a command line or in a
// configuration, and says in their terms why one cannot be read and what to do about it.
package userfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/config/similar"
)

// Error is why a file that somebody named cannot be read. The name is theirs to mend.
type Error struct {
	Name string // as it was given
	Why  string // what is wrong, and the way out
	Err  error  // what the system said, nil for nothing
}

func (e *Error) Error() string {
	if e.Name == "" {
		return e.Why
	}
	return e.Name + ": " + e.Why
}

// Unwrap returns what the system said.
func (e *Error) Unwrap() error { return e.Err }

// Why says why a file that a configuration names could not be read.
func Why(name string, err error) string {
	var own *Error
	switch {
	case name == "":
		return "names no file"
	case errors.As(err, &own):
		return own.Error()
	case errors.Is(err, fs.ErrNotExist):
		return "there is no file " + name
	case errors.Is(err, syscall.EISDIR):
		return name + " is a folder; a file is needed"
	case errors.Is(err, syscall.ENOTDIR):
		return name + " cannot be there: a part of the path before it is a file"
	case errors.Is(err, fs.ErrPermission):
		return "this user may not read " + name
	}
	return err.Error()
}

// Open opens a file that may have any contents. Errors are of type *Error.
func Open(name string) (*os.File, error) {
	if name == "" {
		return nil, &Error{Why: "the name of a file is empty"}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, explain(name, err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		err = &fs.PathError{Op: "read", Path: name, Err: syscall.EISDIR}
		return nil, errors.Join(explain(name, err), f.Close())
	}
	return f, nil
}

// ErrEmpty is of a file without contents.
var ErrEmpty = errors.New("the file is empty")

// MostText is how large a file of text may be.
const MostText = 256 << 20

// Read reads a file of text of at most MostText. One that is empty, has other contents, or
// is in another encoding than UTF-8 by its first bytes is an *Error too.
func Read(name string) ([]byte, error) { return read(name, MostText) }

// Again is Read for a file that was read before and is wanted as it is now. What has
// become a pipe or a device is refused, as in Whole.
func Again(name string) ([]byte, error) {
	if err := regular(name); err != nil {
		return nil, explain(name, err)
	}
	return Read(name)
}

func read(name string, most int64) ([]byte, error) {
	f, err := Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, explain(name, err)
	case int64(len(text)) > most:
		return nil, tooLarge(name, most)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, &Error{Name: name, Why: ErrEmpty.Error(), Err: ErrEmpty}
	}
	if why := noText(text); why != "" {
		return nil, &Error{Name: name, Why: why}
	}
	return text, nil
}

// Whole reads a file that a configuration names, of any contents and at most MostText. What
// is no file, as a pipe, is refused: nobody may ever write into it, and a later reload
// would find it empty.
func Whole(name string) ([]byte, error) {
	if err := regular(name); err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}

// regular refuses what is no file of at most MostText. Of a folder, reading says it.
func regular(name string) error {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular() && !info.IsDir():
		return &Error{Name: name, Why: "is a pipe or a device, and a file is needed"}
	case info.Size() > MostText:
		return tooLarge(name, MostText)
	}
	return nil
}

// Pair is Whole for a certificate and its key.
func Pair(cert, key string) (certText, keyText []byte, err error) {
	if certText, err = Whole(cert); err != nil {
		return nil, nil, fmt.Errorf("certificate: %w", err)
	}
	if keyText, err = Whole(key); err != nil {
		return nil, nil, fmt.Errorf("key: %w", err)
	}
	return certText, keyText, nil
}

// Text is Whole for a file that is text.
func Text(name string) ([]byte, error) {
	text, err := Whole(name)
	if err != nil {
		return nil, err
	}
	if why := noText(text); why != "" {
		return nil, &Error{Name: name, Why: why}
	}
	return text, nil
}

func tooLarge(name string, most int64) error {
	return &Error{Name: name, Why: fmt.Sprintf("has more than %d MB; is it the file that is meant?", most>>20)}
}

// noText says why contents are no text that anybody could have written, "" when they may be.
func noText(text []byte) string {
	for _, kind := range [...]struct{ begins, is string }{
		{"\x1f\x8b", "is gzipped; unpack it with gunzip"}, {"PK\x03\x04", "is a zip archive; unpack it"},
		{"\x28\xb5\x2f\xfd", "is packed by zstd; unpack it"}, {"BZh", "is packed by bzip2; unpack it"},
		{"\x7fELF", "is a program, not text"}, {"MZ\x90", "is a program, not text"},
		{"\xcf\xfa\xed\xfe", "is a program, not text"}, {"PAR1", "is a Parquet file, not text"},
		{"%PDF-", "is a PDF file, not text"}, {"\x89PNG", "is a picture, not text"},
		{"SQLite format 3\x00", "is a database, not text"},
		{"\xff\xfe", "is in UTF-16; save it in the encoding UTF-8"},
		{"\xfe\xff", "is in UTF-16; save it in the encoding UTF-8"},
	} {
		if bytes.HasPrefix(text, []byte(kind.begins)) {
			return kind.is
		}
	}
	const looked = 8 << 10
	if bytes.IndexByte(text[:min(len(text), looked)], 0) >= 0 {
		return "has zero bytes, so it is no text in UTF-8; is it the file that is meant?"
	}
	return ""
}

// UTF8 is Read for formats whose parser does not look for that: contents that are not UTF-8
// are an *Error that names the line.
func UTF8(name string) ([]byte, error) {
	text, err := Read(name)
	if err != nil || utf8.Valid(text) {
		return text, err
	}
	at := 0
	for at < len(text) {
		r, n := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return nil, &Error{Name: name, Why: fmt.Sprintf("line %d has the byte %#x, which is not UTF-8: save the file "+
		"in that encoding", bytes.Count(text[:at], []byte("\n"))+1, text[at])}
}

// explain makes an *Error of what the system said of a file.
func explain(name string, err error) error {
	if own := (*Error)(nil); errors.As(err, &own) {
		return own
	}
	e := &Error{Name: name, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Why = missing(name)
	case errors.Is(err, syscall.EISDIR):
		e.Why = "is a folder, and a file is needed" + instead(name, "")
	case errors.Is(err, syscall.ENOTDIR):
		e.Why = "cannot be there: a part of the path before it is a file"
	case errors.Is(err, fs.ErrPermission):
		e.Why = forbidden(name)
	case errors.Is(err, syscall.ENAMETOOLONG):
		e.Name, e.Why = "", "the name of a file is too long; are these its contents in place of its name?"
	default:
		var of *fs.PathError
		if e.Why = "cannot be read: " + err.Error(); errors.As(err, &of) {
			e.Why = "cannot be read: " + of.Err.Error()
		}
	}
	return e
}

// missing says that there is no such file, and which one may be meant.
func missing(name string) string {
	dir := filepath.Dir(name)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "there is no such file, and no folder " + dir + inFolder(dir)
	}
	return "there is no such file" + inFolder(name) + instead(dir, filepath.Base(name))
}

// inFolder says from where a relative name was looked for.
func inFolder(name string) string {
	here, err := os.Getwd()
	if err != nil || filepath.IsAbs(name) {
		return ""
	}
	return " in " + filepath.Dir(filepath.Join(here, name))
}

// instead names the files of a folder that may be meant in place of one of that name: the
// one that is nearly called so, or else a few of the same kind.
func instead(dir, name string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	var all []string
	kind := strings.ToLower(filepath.Ext(name))
	var same []string
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		all = append(all, e.Name())
		ext := strings.ToLower(filepath.Ext(e.Name()))
		if kind != "" && ext == kind || yaml(ext) && (yaml(kind) || kind == "") {
			same = append(same, e.Name())
		}
	}
	if hint := similar.Hint(name, all); hint != "" && name != "" {
		return hint
	}
	const most = 4
	if len(same) > most {
		same = append(same[:most:most], "…")
	}
	if len(same) == 0 {
		return ""
	}
	return "; that folder has " + strings.Join(same, ", ")
}

func yaml(ext string) bool { return ext == ".yaml" || ext == ".yml" }

// forbidden says who may not read a file, and who may.
func forbidden(name string) string {
	info, err := os.Stat(name)
	if err != nil {
		return "the user that runs this may not look into a folder above it"
	}
	return fmt.Sprintf("the user that runs this (uid %d) may not read it: its mode is %v%s. Give that user the right, "+
		"or run this as one who has it", os.Geteuid(), info.Mode(), owner(info))
}

func owner(info fs.FileInfo) string {
	if of, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf(", and uid %d owns it", of.Uid)
	}
	return ""
}

// Unzipped is the text of a file that may be gzipped. It fails where reading does, and for a gzip that is none.
func Unzipped(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	magic, err := b.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		return gzip.NewReader(b)
	}
	return b, nil
}
