package wire_test

import (
	"bufio"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// What is accepted is read by net/textproto in the same way, field by field.
func FuzzAppendHeader(f *testing.F) {
	for _, seed := range []string{
		"Host: a\r\n\r\n", "A: b\r\nA:\t c \r\n\r\n", "A: b\nB: c\r\n\r\n", "A: b\r\n c\r\n\r\n",
		"x y: z\r\n\r\n", ": b\r\n\r\n", "A\r\n\r\n", "A: \x00\r\n\r\n", "\r\n", "", "A: b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, block string) {
		got, refused := wire.AppendHeader(nil, block)
		if refused != nil {
			return
		}
		if !strings.HasSuffix(block, "\r\n\r\n") {
			block += "\r\n"
		}
		want, err := textproto.NewReader(bufio.NewReader(strings.NewReader(block))).ReadMIMEHeader()
		if err != nil {
			t.Fatalf("%q: accepted, but net/textproto says %v", block, err)
		}
		n := 0
		seen := map[string]int{}
		for _, field := range got {
			key := textproto.CanonicalMIMEHeaderKey(field.Name)
			values := want[key]
			if seen[key] >= len(values) || values[seen[key]] != field.Value {
				t.Fatalf("%q: field %q is %q, net/textproto has %q", block, field.Name, field.Value, values)
			}
			seen[key]++
			n++
		}
		for _, values := range want {
			n -= len(values)
		}
		if n != 0 {
			t.Fatalf("%q: %d fields more than net/textproto", block, n)
		}
	})
}

// A target that is accepted is one for net/url as well, has no fragment, and is
// made of bytes that need no escaping on the way up.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"/", "/a%2Fb?c=d", "/a#b", "/%zz", "/%2", "//evil/a", "/a b", "/\xc3\xa9", "http://a/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		if !strings.HasPrefix(target, "/") || !wire.ValidTarget(target) {
			return
		}
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Fragment != "" {
			t.Fatalf("%q: %v, %v", target, u, err)
		}
		for i := range len(target) {
			if b := target[i]; b <= ' ' || b >= 0x7f {
				t.Fatalf("%q: byte %#x", target, b)
			}
		}
	})
}
