package score

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// A score file is a head of eight bytes (magic, kind, version), the body in
// little-endian binary with counts before lists, and the SHA-256 of all before
// it. The same model gives the same bytes.
const (
	fileMagic    = "SLSCOR"
	kindModel    = 'm'
	kindPreScore = 'g'
)

// fileVersions are those of the kinds.
var fileVersions = map[byte]byte{kindModel: 3, kindPreScore: 2}

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
	w.put(uint32(len(FeatureSet)), []byte(FeatureSet), uint32(FeatureCount), m.reach)
	w.put(uint32(len(m.members)))
	for i := range m.members {
		one := &m.members[i]
		w.put(one.line.Bias, one.line.Weight, one.line.Mean, one.line.Scale)
		w.put(one.base, uint32(len(one.stumps)), one.stumps, uint32(len(one.routes)), one.routes)
	}
	w.put(uint32(len(m.steps)), m.steps)
	return w.seal()
}

// DecodeModel reads what Model.Encode wrote. It refuses a model of another feature set.
func DecodeModel(data []byte) (*Model, error) {
	r := newReader(data, kindModel)
	m := &Model{hash: FileHash(data)}
	set := string(list[byte](r))
	var features uint32
	r.get(&features)
	if set != FeatureSet || int(features) != FeatureCount {
		r.fail("features of %q, this program reads %q: train it again", set, FeatureSet)
	}
	if r.get(&m.reach); m.reach >= reaches {
		r.fail("reach %d", m.reach)
	}
	const smallest = 4 + 3*4*(FeatureCount+1) + 4 + 8
	m.members = make([]member, r.count(smallest))
	for i := range m.members {
		r.member(&m.members[i])
	}
	m.steps = list[Step](r)
	if !slices.IsSortedFunc(m.steps, func(a, b Step) int { return cmp.Compare(a.Score, b.Score) }) {
		r.fail("steps out of order")
	}
	return m, r.done()
}

func (r *reader) member(m *member) {
	r.get(&m.line.Bias)
	for _, of := range []*[]float32{&m.line.Weight, &m.line.Mean, &m.line.Scale} {
		*of = make([]float32, FeatureCount+1)
		r.get(*of)
	}
	r.get(&m.base)
	m.stumps = list[stump](r)
	for i := range m.stumps {
		if f := int(m.stumps[i].Feature); f >= FeatureCount {
			r.fail("feature %d of %d", f, FeatureCount)
		}
	}
	m.routes = list[route](r)
}

// Encode writes the pre-score as a score file.
func (p *PreScore) Encode() []byte {
	w := newWriter(kindPreScore)
	w.logistic(&p.line)
	w.put(p.mean, uint32(len(p.routes)), p.routes, p.Bounds)
	return w.seal()
}

// DecodePreScore reads what PreScore.Encode wrote.
func DecodePreScore(data []byte) (*PreScore, error) {
	r := newReader(data, kindPreScore)
	p := &PreScore{line: r.logistic(preScoreCount)}
	r.get(&p.mean)
	p.routes = list[route](r)
	r.get(&p.Bounds)
	if !p.sound() {
		r.fail("bounds %g and %g", p.Uncertain, p.Direct)
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
	w.WriteByte(fileVersions[kind])
	return w
}

func (w *writer) put(values ...any) {
	for _, v := range values {
		if err := binary.Write(w, binary.LittleEndian, v); err != nil {
			panic("BUG: a score does not encode: " + err.Error())
		}
	}
}

// logistic writes the words sparsely: most buckets are never touched.
func (w *writer) logistic(l *logistic) {
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
	err  error // nil, or wraps ErrFile
}

// fail notes an error, unless there is one already.
func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %w", ErrFile, fmt.Errorf(format, args...))
	}
}

func newReader(data []byte, kind byte) *reader {
	const head = len(fileMagic) + 2
	r := &reader{}
	if len(data) < head+sha256.Size || len(data) > maxFile {
		r.fail("%d bytes", len(data))
		return r
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	want := sha256.Sum256(body)
	switch version := body[head-1]; {
	case string(body[:len(fileMagic)]) != fileMagic || body[len(fileMagic)] != kind:
		r.fail("head %q, want %s%c", body[:head], fileMagic, kind)
	case version != fileVersions[kind]:
		r.fail("version %d, this program reads version %d: train it again", version, fileVersions[kind])
	case !bytes.Equal(sum, want[:]):
		r.fail("the checksum does not match")
	}
	r.rest = body[head:]
	return r
}

func (r *reader) get(v any) {
	if r.err != nil {
		return
	}
	n, err := binary.Decode(r.rest, binary.LittleEndian, v)
	if err != nil {
		r.fail("%w", err)
		return
	}
	r.rest = r.rest[n:]
}

// count reads a count of elements of size bytes that have to follow.
func (r *reader) count(size int) int {
	var n uint32
	r.get(&n)
	if int64(n)*int64(size) > int64(len(r.rest)) {
		r.fail("%d elements in %d bytes", n, len(r.rest))
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// list reads a count and as many elements.
func list[T any](r *reader) []T {
	var element T
	all := make([]T, r.count(binary.Size(element)))
	r.get(all)
	return all
}

const maxBuckets = 1 << 20

func (r *reader) logistic(features int) logistic {
	var l logistic
	r.get(&l.Bias)
	n := r.count(12)
	if n != 0 && n != features {
		r.fail("%d features, want %d", n, features)
	}
	l.Weight, l.Mean, l.Scale = make([]float32, n), make([]float32, n), make([]float32, n)
	r.get(l.Weight)
	r.get(l.Mean)
	r.get(l.Scale)
	var buckets uint32
	r.get(&buckets)
	if buckets > maxBuckets {
		r.fail("%d buckets", buckets)
	}
	words := list[bucket](r)
	if r.err == nil && buckets > 0 {
		l.Words = make([]float32, buckets)
	}
	for _, w := range words {
		if int(w.Index) >= len(l.Words) {
			r.fail("bucket %d of %d", w.Index, buckets)
			return l
		}
		l.Words[w.Index] = w.Weight
	}
	return l
}

func (r *reader) done() error {
	if len(r.rest) > 0 {
		r.fail("%d bytes too many", len(r.rest))
	}
	return r.err
}
