package openai

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// embeddings are the members of an Embeddings request, in the order in which they are read.
var embeddings = caller.NewTable([]field{
	{Name: "model", Want: caller.Text, How: caller.Consumed},
	{Name: "encoding_format", Want: caller.Text, Note: "float and base64", Read: readEncoding},
	{Name: "dimensions", Want: caller.Integer, Note: "Titan 2, Cohere 4 and Nova 2", Read: readDimensions},
	{Name: "input_type", Want: caller.Text, Note: "not OpenAI's; of Cohere", Read: readInputType},
	{Name: "user", Want: caller.Text, Note: "request metadata", Read: addPair},
	{Name: "input", Want: caller.Text | caller.Array, Must: true, Note: "texts, and no tokens", Read: readInput},
})

// embedding is what is known of an Embeddings request before its input.
type embedding struct {
	dimensions int64
	kind       []byte // input_type, in JSON
	bodies     [][]byte
}

// mostInputs is how many texts a request may have, in several calls where the model takes fewer.
const mostInputs = 1024

// embedders are the models, by the beginning of their ids, and how they are asked. The longest one wins.
var embedders = []struct {
	prefix string
	most   int    // texts of a call
	size   string // the member that has the dimensions, "" for none
	write  func(e *embedding, texts [][]byte, size string) []byte
}{
	{"amazon.titan-embed-text-v1", 1, "", titanEmbedding},
	{"amazon.titan-embed-g1-text", 1, "", titanEmbedding},
	{"amazon.titan-embed-text-v2", 1, "dimensions", titanEmbedding},
	{"amazon.titan-embed-image", 1, "", titanEmbedding},
	{"amazon.nova-2-multimodal-embeddings", 1, "embeddingDimension", novaEmbedding},
	{"cohere.embed-", 96, "", cohereEmbedding},
	{"cohere.embed-v4", 96, "output_dimension", cohereEmbedding},
}

func titanEmbedding(e *embedding, texts [][]byte, size string) []byte {
	out := append([]byte(`{"inputText":`), texts[0]...)
	return append(e.appendSize(out, size), '}')
}

func novaEmbedding(e *embedding, texts [][]byte, size string) []byte {
	out := []byte(`{"schemaVersion":"nova-multimodal-embed-v1","taskType":"SINGLE_EMBEDDING","singleEmbeddingParams":{` +
		`"embeddingPurpose":"GENERIC_INDEX","text":{"truncationMode":"NONE","value":`)
	out = append(append(out, texts[0]...), '}')
	return append(e.appendSize(out, size), `}}`...)
}

func cohereEmbedding(e *embedding, texts [][]byte, size string) []byte {
	out := []byte(`{"texts":[`)
	for i, t := range texts {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, t...)
	}
	out = append(out, `],"input_type":`...)
	if e.kind == nil {
		out = append(out, `"search_document"`...)
	}
	out = append(out, e.kind...)
	if size != "" {
		out = append(out, `,"embedding_types":["float"]`...)
	}
	return append(e.appendSize(out, size), '}')
}

func (e *embedding) appendSize(dst []byte, member string) []byte {
	if e.dimensions == 0 {
		return dst
	}
	dst = append(append(append(dst, `,"`...), member...), `":`...)
	return appendInt(dst, e.dimensions)
}

func readEncoding(r *request, v jsontree.Value) {
	switch v.Text() {
	case "float":
	case "base64":
		r.base64 = true
	default:
		r.fail(v, codeValue, "Invalid value: '"+v.Text()+"'. Supported values are: 'float' and 'base64'.")
	}
}

func readDimensions(r *request, v jsontree.Value) {
	n, _ := v.Int()
	if n < 1 || n > 1<<20 {
		r.fail(v, codeValue, "Invalid value for 'dimensions': it must be a whole number from 1 on.")
		return
	}
	r.embed.dimensions = n
}

func readInputType(r *request, v jsontree.Value) { r.embed.kind = v.Raw() }

func readInput(r *request, v jsontree.Value) {
	at := -1
	for i, e := range embedders {
		if strings.HasPrefix(r.foundation, e.prefix) && (at < 0 || len(e.prefix) > len(embedders[at].prefix)) {
			at = i
		}
	}
	if at < 0 {
		r.failAt("model", codeValue, "The model '"+r.model+"' does not make embeddings, as far as the gateway knows.")
		return
	}
	how := embedders[at]
	texts := inputs(r, v)
	switch {
	case r.Failure != nil:
	case len(texts) > mostInputs:
		r.fail(v, codeValue, "Invalid 'input': maximum array length is "+string(appendInt(nil, mostInputs))+
			". Send the texts in several requests.")
	case r.embed.dimensions > 0 && how.size == "":
		r.failAt("dimensions", codeUnsupported, "Unsupported parameter: the model has its own number of 'dimensions'.")
	default:
		if r.embed.kind != nil && !strings.HasPrefix(how.prefix, "cohere.") {
			r.DropAt("input_type")
		}
		r.inputs = len(texts)
		for some := range slices.Chunk(texts, how.most) {
			r.embed.bodies = append(r.embed.bodies, how.write(&r.embed, some, how.size))
		}
	}
}

// inputs are the inputs of a request, in JSON.
func inputs(r *request, v jsontree.Value) (texts [][]byte) {
	add := func(v jsontree.Value) {
		if caller.KindsOf(v)&(caller.Number|caller.Array) != 0 {
			r.fail(v, codeType, "Invalid type for '"+v.Path()+"': tokens cannot be carried, only texts. LangChain sends texts "+
				"with check_embedding_ctx_length=False.")
			return
		}
		if !r.Is(v, caller.Text) {
			return
		}
		if len(v.Raw()) == len(`""`) {
			r.fail(v, codeValue, "Invalid '"+v.Path()+"': empty string.")
		}
		texts = append(texts, v.Raw())
	}
	if v.IsText() {
		add(v)
		return texts
	}
	for e := range v.All() {
		add(e)
	}
	if v.Len() == 0 {
		r.fail(v, codeValue, "Invalid 'input': empty array.")
	}
	return texts
}

// embeddingsRequest translates an Embeddings request for the model's own family.
func embeddingsRequest(from *caller.Request) (*known, *caller.Native, *caller.Failure) {
	r := newRequest(from)
	var d jsontree.Doc
	if v, ok := r.begin(&d, from.Body); ok {
		embeddings.Read(&r.Reading, r, v)
	}
	if r.Failure != nil {
		return nil, nil, r.Failure
	}
	n := &caller.Native{Op: wire.OpInvoke, Model: r.id, Dropped: r.Dropped}
	n.Body, n.Further = r.embed.bodies[0], r.embed.bodies[1:]
	if len(r.b.Metadata) > 0 {
		n.Header = wire.Header{{Name: "x-amzn-bedrock-request-metadata", Value: "{" + string(r.b.Metadata) + "}"}}
	}
	return &r.known, n, nil
}

// embeddingsAnswer translates what a model of any family answers.
func (k *known) embeddingsAnswer(a *caller.Answer) ([]byte, *caller.Failure) {
	dst := []byte(`{"object":"list","data":[`)
	at, used, family := 0, int64(0), wire.DialectOf(k.foundation)
	for _, part := range a.All() {
		v, failure := a.TreeOf(part.Body)
		if failure != nil {
			return nil, failure
		}
		for _, vector := range vectorsOf(v) {
			dst = k.appendVector(dst, at, vector)
			at++
		}
		used += wire.ResponseUsage(wire.OpInvoke, family, part.Header, part.Body).Input.N
	}
	if at != k.inputs {
		return nil, caller.Broken("the upstream's answer does not have an embedding for each input")
	}
	dst = wire.AppendJSONString(append(dst, `],"model":`...), k.model)
	dst = appendInt(append(dst, `,"usage":{"prompt_tokens":`...), used)
	dst = appendInt(append(dst, `,"total_tokens":`...), used)
	return append(dst, `}}`...), nil
}

// appendVector appends the embedding of the input that is at a place.
func (k *known) appendVector(dst []byte, at int, vector jsontree.Value) []byte {
	if at > 0 {
		dst = append(dst, ',')
	}
	dst = appendInt(append(dst, `{"object":"embedding","index":`...), int64(at))
	dst = append(dst, `,"embedding":`...)
	if k.base64 {
		dst = appendFloats(dst, vector)
	} else {
		dst = append(dst, vector.Raw()...)
	}
	return append(dst, '}')
}

// vectorsOf finds the embeddings: of Titan, of Nova, and of Cohere with and without types.
func vectorsOf(v jsontree.Value) (vectors []jsontree.Value) {
	if one := v.Get("embedding"); one.IsArray() {
		return []jsontree.Value{one}
	}
	all := v.Get("embeddings")
	if all.IsObject() {
		all = all.Get("float")
	}
	for e := range all.All() {
		if e.IsObject() {
			e = e.Get("embedding")
		}
		if e.IsArray() {
			vectors = append(vectors, e)
		}
	}
	return vectors
}

// appendFloats appends a vector in base64: floats of 32 bits, the lowest byte first.
func appendFloats(dst []byte, vector jsontree.Value) []byte {
	raw := make([]byte, 0, 4*vector.Len())
	for n := range vector.All() {
		f, _ := n.Float()
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(f)))
	}
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), raw), '"')
}
