// Package wholefile replaces files so that neither a reader nor a crash finds half of one.
package wholefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace puts a file with that mode in the place of another, or where there is none. Its
// folder must be there. A crash leaves the old contents or the new ones, and once Replace
// has returned without an error, the new ones.
func Replace(path string, data []byte, mode fs.FileMode) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing is written to it
	f, err := os.CreateTemp(dir.Name(), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return dir.Sync()
}
