package requestlog

import "os"

// diskFile is a file that can be moved away while lines are written to it.
type diskFile struct {
	*os.File
	path string
}

// openFile opens a file to append to it, or makes it for its owner alone.
func openFile(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f, path}, nil
}

func (f diskFile) moved() bool {
	there, err := os.Stat(f.path)
	if err != nil {
		return true
	}
	here, err := f.Stat()
	return err != nil || !os.SameFile(there, here)
}

// stream is a file that is always the same and stays open.
type stream struct{ *os.File }

func (stream) moved() bool  { return false }
func (stream) Close() error { return nil }
