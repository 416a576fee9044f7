package telemetry

import (
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// message is a message of the OTLP protocol as its bytes. Spans are written
// right away in the form in which they are sent: trees of attributes and messages in
// between would cost more than all else that a span does.
type message []byte

// begin opens a message in a field and returns where it begins, for finish.
func (m *message) begin(field protowire.Number) int {
	*m = protowire.AppendTag(*m, field, protowire.BytesType)
	return len(*m)
}

// finish puts the length of a message before it.
func (m *message) finish(start int) {
	n := len(*m) - start
	size := protowire.SizeVarint(uint64(n))
	for range size {
		*m = append(*m, 0)
	}
	b := *m
	copy(b[start+size:], b[start:start+n])
	protowire.AppendVarint(b[:start], uint64(n))
}

// field writes text, which the protocol wants in UTF-8: one name that is not must
// not cost the batch. It leaves out what is empty.
func (m *message) field(number protowire.Number, s string) {
	if s != "" {
		m.value(number, s)
	}
}

func (m *message) value(number protowire.Number, s string) {
	*m = protowire.AppendTag(*m, number, protowire.BytesType)
	*m = protowire.AppendString(*m, strings.ToValidUTF8(s, "\uFFFD"))
}

func (m *message) bytes(number protowire.Number, s []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, number, protowire.BytesType), s)
}

func (m *message) varint(number protowire.Number, n uint64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, number, protowire.VarintType), n)
}

func (m *message) fixed(number protowire.Number, n uint64) {
	*m = protowire.AppendFixed64(protowire.AppendTag(*m, number, protowire.Fixed64Type), n)
}

// The fields of a span, a resource, a pair and a value (opentelemetry/proto:
// trace/v1, resource/v1 and common/v1).
const (
	spanAttributes     protowire.Number = 9
	resourceAttributes protowire.Number = 1

	pairKey   protowire.Number = 1
	pairValue protowire.Number = 2

	valueText   protowire.Number = 1
	valueBool   protowire.Number = 2
	valueInt    protowire.Number = 3
	valueDouble protowire.Number = 4
	valueList   protowire.Number = 5
)

// pair opens an attribute up to its value; end closes it.
func (m *message) pair(of protowire.Number, name string) (pair, value int) {
	pair = m.begin(of)
	m.field(pairKey, name)
	return pair, m.begin(pairValue)
}

func (m *message) end(pair, value int) {
	m.finish(value)
	m.finish(pair)
}

// text is an attribute of a span, left out when empty.
func (m *message) text(name, s string) {
	if s == "" {
		return
	}
	pair, value := m.pair(spanAttributes, name)
	m.value(valueText, s)
	m.end(pair, value)
}

func (m *message) bool(name string, is bool) {
	pair, value := m.pair(spanAttributes, name)
	m.varint(valueBool, protowire.EncodeBool(is))
	m.end(pair, value)
}

func (m *message) int(name string, n int64) {
	pair, value := m.pair(spanAttributes, name)
	m.varint(valueInt, uint64(n))
	m.end(pair, value)
}

// positive leaves out zero.
func (m *message) positive(name string, n int64) {
	if n > 0 {
		m.int(name, n)
	}
}

func (m *message) count(name string, c wire.Count) {
	if c.Known {
		m.int(name, c.N)
	}
}

func (m *message) seconds(name string, x float64) {
	pair, value := m.pair(spanAttributes, name)
	m.fixed(valueDouble, math.Float64bits(x))
	m.end(pair, value)
}

// list is an attribute whose value is a list of one text.
func (m *message) list(name, only string) {
	pair, value := m.pair(spanAttributes, name)
	all := m.begin(valueList)
	one := m.begin(1)
	m.value(valueText, only)
	m.finish(one)
	m.finish(all)
	m.end(pair, value)
}

// cost is an amount with how far it can be trusted, nothing without that.
func (m *message) cost(cost money.Pico, state string) {
	if state == "" {
		return
	}
	m.text(AttrCostState, state)
	var text [32]byte
	pair, value := m.pair(spanAttributes, AttrCost)
	m.bytes(valueText, cost.Append(text[:0]))
	m.end(pair, value)
}
