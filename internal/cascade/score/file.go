package score

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// A score file is a head of eight bytes (magic, kind, version), the body in
// little-endian binary with counts before lists, and the SHA-256 of all before
// it. The same model gives the same bytes.
const (
	fileMagic    = "SLSCOR"
	fileVersion  = 2
	kindModel    = 'm'
	kindPreScore = 'g'
)

// ErrFile is wrapped by every error about a score file.
var ErrFile = errors.New("score file")

// maxFile bounds a file in bytes, so that counts in it cannot ask for more.
const maxFile = 8 << 20

// FileHash names the contents of a score file in certificates and logs.
func FileHash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Encode writes the model as a score file.
func (m *Model) Encode() []byte {
	w := newWriter(kindModel)
	for _, b := range []*blend{&m.light, &m.escalation} {
		w.linear(&b.line)
		w.put(b.trees.Base, uint32(len(b.trees.Trees)), b.trees.Trees)
	}
	return w.seal()
}

// DecodeModel reads what Model.Encode wrote.
func DecodeModel(data []byte) (*Model, error) {
	r := newReader(data, kindModel)
	m := &Model{hash: FileHash(data)}
	for _, b := range []*blend{&m.light, &m.escalation} {
		b.line = r.linear(denseCount)
		r.get(&b.trees.Base)
		b.trees.Trees = make([]Tree, r.count(binary.Size(Tree{})))
		r.get(b.trees.Trees)
		r.checkTrees(b.trees.Trees)
	}
	return m, r.done()
}

// Encode writes the pre-score as a score file.
func (p *PreScore) Encode() []byte {
	w := newWriter(kindPreScore)
	w.linear(&p.line)
	w.put(p.mean, uint32(len(p.routes)), p.routes, p.Bounds)
	return w.seal()
}

// DecodePreScore reads what PreScore.Encode wrote.
func DecodePreScore(data []byte) (*PreScore, error) {
	r := newReader(data, kindPreScore)
	p := &PreScore{line: r.linear(preScoreCount)}
	r.get(&p.mean)
	p.routes = make([]route, r.count(binary.Size(route{})))
	r.get(p.routes)
	r.get(&p.Bounds)
	if r.err == nil && !p.sound() {
		r.err = fmt.Errorf("%w: bounds %g and %g", ErrFile, p.Uncertain, p.Direct)
	}
	return p, r.done()
}

// bucket is one word weight that is not zero.
type bucket struct {
	Index  uint32
	Weight float32
}

type writer struct{ bytes.Buffer }

func newWriter(kind byte) *writer {
	w := &writer{}
	w.WriteString(fileMagic)
	w.WriteByte(kind)
	w.WriteByte(fileVersion)
	return w
}

func (w *writer) put(values ...any) {
	for _, v := range values {
		if err := binary.Write(w, binary.LittleEndian, v); err != nil {
			panic("BUG: a score does not encode: " + err.Error())
		}
	}
}

// linear writes the words sparsely: most buckets are never touched.
func (w *writer) linear(l *Linear) {
	var words []bucket
	for i, weight := range l.Words {
		if weight != 0 {
			words = append(words, bucket{uint32(i), weight})
		}
	}
	w.put(l.Bias, uint32(len(l.Weight)), l.Weight, l.Mean, l.Scale, uint32(len(l.Words)), uint32(len(words)), words)
}

func (w *writer) seal() []byte {
	sum := sha256.Sum256(w.Bytes())
	w.Write(sum[:])
	return w.Bytes()
}

// reader keeps the first error; what it reads after that is empty.
type reader struct {
	rest []byte
	err  error
}

func newReader(data []byte, kind byte) *reader {
	const head = len(fileMagic) + 2
	if len(data) < head+sha256.Size || len(data) > maxFile {
		return &reader{err: fmt.Errorf("%w: %d bytes", ErrFile, len(data))}
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if string(body[:len(fileMagic)]) != fileMagic || body[len(fileMagic)] != kind {
		return &reader{err: fmt.Errorf("%w: head %q, want %s%c", ErrFile, body[:head], fileMagic, kind)}
	}
	if version := body[head-1]; version != fileVersion {
		return &reader{err: fmt.Errorf("%w: version %d, this program reads version %d: train it again", ErrFile, version, fileVersion)}
	}
	if want := sha256.Sum256(body); !bytes.Equal(sum, want[:]) {
		return &reader{err: fmt.Errorf("%w: the checksum does not match", ErrFile)}
	}
	return &reader{rest: body[head:]}
}

func (r *reader) get(v any) {
	if r.err != nil {
		return
	}
	n, err := binary.Decode(r.rest, binary.LittleEndian, v)
	if err != nil {
		r.err = fmt.Errorf("%w: %w", ErrFile, err)
		return
	}
	r.rest = r.rest[n:]
}

// count reads a count of elements of size bytes that have to follow.
func (r *reader) count(size int) int {
	var n uint32
	r.get(&n)
	if r.err == nil && int64(n)*int64(size) > int64(len(r.rest)) {
		r.err = fmt.Errorf("%w: %d elements in %d bytes", ErrFile, n, len(r.rest))
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

func (r *reader) linear(features int) Linear {
	var l Linear
	r.get(&l.Bias)
	n := r.count(12)
	if n != 0 && n != features && r.err == nil {
		r.err = fmt.Errorf("%w: %d features, want %d", ErrFile, n, features)
		return l
	}
	l.Weight, l.Mean, l.Scale = make([]float32, n), make([]float32, n), make([]float32, n)
	r.get(l.Weight)
	r.get(l.Mean)
	r.get(l.Scale)
	var buckets uint32
	r.get(&buckets)
	words := make([]bucket, r.count(binary.Size(bucket{})))
	r.get(words)
	if r.err != nil || buckets > 1<<20 {
		r.err = errors.Join(r.err, checkBuckets(buckets))
		return l
	}
	if buckets > 0 {
		l.Words = make([]float32, buckets)
	}
	for _, w := range words {
		if w.Index >= buckets {
			r.err = fmt.Errorf("%w: bucket %d of %d", ErrFile, w.Index, buckets)
			return l
		}
		l.Words[w.Index] = w.Weight
	}
	return l
}

func checkBuckets(n uint32) error {
	if n > 1<<20 {
		return fmt.Errorf("%w: %d buckets", ErrFile, n)
	}
	return nil
}

// checkTrees makes sure that no tree reads a feature that is not there.
func (r *reader) checkTrees(trees []Tree) {
	for i := range trees {
		for _, f := range trees[i].Feature {
			if f >= denseCount && r.err == nil {
				r.err = fmt.Errorf("%w: feature %d of %d", ErrFile, f, denseCount)
			}
		}
	}
}

func (r *reader) done() error {
	if r.err == nil && len(r.rest) > 0 {
		r.err = fmt.Errorf("%w: %d bytes too many", ErrFile, len(r.rest))
	}
	return r.err
}
