package tenant

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	secretFile  = "root.secret"
	envCurrent  = "SLUICE_ROOT_SECRET"
	envPrevious = "SLUICE_ROOT_SECRET_PREVIOUS"

	minSecretBytes = 16
	maxSecretFile  = 4096
	tooShort       = "a root secret needs at least 16 bytes"
)

// SecretError is a root secret that must not be used. Other errors of
// LoadSecrets come from the file system or from the source of randomness.
type SecretError struct {
	Source string // a path, or the name of a variable
	Reason string
}

// Error names the source and says what is wrong with it.
func (e *SecretError) Error() string { return e.Source + ": " + e.Reason }

// LoadSecrets returns the root secret of SLUICE_ROOT_SECRET, or otherwise the one in
// dataDir/root.secret, which it makes from 32 bytes of random when there is
// none. SLUICE_ROOT_SECRET_PREVIOUS stays valid beside it. A secret has at least
// 16 bytes; white space at the end of the file is ignored. It fails with
// *SecretError when a secret is too short, when the group or others can read
// the file, and when two secrets cannot be told apart by their key ids.
func LoadSecrets(dataDir string, env func(string) string, random io.Reader) (*Secrets, error) {
	return load(dataDir, env, func(path string) ([]byte, error) { return readOrMake(path, random) })
}

// ReadSecrets is LoadSecrets for who must write nothing: without a root secret it fails
// with fs.ErrNotExist.
func ReadSecrets(dataDir string, env func(string) string) (*Secrets, error) {
	return load(dataDir, env, readSecret)
}

func load(dataDir string, env func(string) string, fromFile func(path string) ([]byte, error)) (*Secrets, error) {
	current := []byte(env(envCurrent))
	source := envCurrent
	if len(current) == 0 {
		source = filepath.Join(dataDir, secretFile)
		var err error
		if current, err = fromFile(source); err != nil {
			return nil, err
		}
	}
	if len(current) < minSecretBytes {
		return nil, &SecretError{source, tooShort}
	}
	previous := []byte(env(envPrevious))
	if len(previous) == 0 || bytes.Equal(previous, current) {
		return &Secrets{generations: []generation{newGeneration(current)}}, nil
	}
	if len(previous) < minSecretBytes {
		return nil, &SecretError{envPrevious, tooShort}
	}
	s := &Secrets{generations: []generation{newGeneration(current), newGeneration(previous)}}
	if s.generations[0].version == s.generations[1].version {
		const same = "has the version of the current secret by chance; choose another current secret"
		return nil, &SecretError{envPrevious, same}
	}
	return s, nil
}

func readOrMake(path string, random io.Reader) ([]byte, error) {
	secret, err := readSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if err := makeSecret(path, random); err != nil {
		return nil, fmt.Errorf("make root secret: %w", err)
	}
	return readSecret(path)
}

func readSecret(path string) ([]byte, error) {
	stat, err := os.Stat(path) // before it is opened, which waits where it is a pipe
	if err != nil {
		return nil, fmt.Errorf("read root secret: %w", err)
	}
	if mode := stat.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return nil, &SecretError{path, fmt.Sprintf("must be a file that only its owner can read (chmod 600), is %v", mode)}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read root secret: %w", err)
	}
	defer f.Close() //nolint:errcheck // was only read
	secret, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return nil, fmt.Errorf("read root secret: %w", err)
	}
	if len(secret) > maxSecretFile {
		return nil, &SecretError{path, fmt.Sprintf("has more than %d bytes", maxSecretFile)}
	}
	return bytes.TrimRight(secret, " \t\r\n"), nil
}

// makeSecret puts a new secret at path, whole and on disk or not at all. When
// two processes start at once, the secret of the first one is kept.
func makeSecret(path string, random io.Reader) (err error) {
	var secret [secretBytes]byte
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, secretFile+".*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.WriteString(hex.EncodeToString(secret[:]) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
