package caller

import "github.com/sluice-gateway/sluice/internal/wire/jsontree"

// Memory is the budget that the gateway has for requests. What a translation takes is given back when it is made,
// except for what it has made.
type Memory interface {
	// Take takes bytes, or says what the caller is told when they are not there.
	Take(bytes int64) *Failure
}

// uncounted is how much a translation may make of a text that counts with the request itself.
const uncounted = 4 << 10

// Take takes memory for n bytes that the translation makes.
func (r *Request) Take(n int) *Failure {
	if n <= uncounted || r.Memory == nil {
		return nil
	}
	return r.Memory.Take(int64(n))
}

// Reserve takes memory for the tree of a text of the request, and for what is made of it, and makes the room in d.
func (r *Request) Reserve(d *jsontree.Doc, text []byte) *Failure { return reserve(r.Memory, d, text) }

// made is how many times a text is in memory, beside its tree, while another is made of it: as blocks that are put
// together, while these grow, and as a whole.
const made = 3

func reserve(m Memory, d *jsontree.Doc, text []byte) *Failure {
	if len(text) <= uncounted || m == nil {
		return nil
	}
	values := jsontree.Count(text)
	if f := m.Take(int64(values)*jsontree.NodeBytes + made*int64(len(text))); f != nil {
		return f
	}
	d.Reserve(values)
	return nil
}
