package h1guard

import (
	"strings"
	"testing"
)

const (
	chunkedHead = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	get         = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
)

// TestReceived has what the rules let a server refuse (E10), and that what is right passes,
// however it is cut into reads.
func TestReceived(t *testing.T) {
	cases := []struct{ what, in, wrong string }{
		{"a request", get, ""},
		{"three", get + get + get, ""},
		{"one empty line before", "\r\n" + get, ""},
		{"one between", get + "\r\n" + get, ""},
		{"two before", "\r\n\r\n" + get, "empty lines"},
		{"a thousand between", get + strings.Repeat("\r\n", 1000) + get, "empty lines"},
		{"a bare line feed before", "\n" + get, "empty lines"},
		{"a bare carriage return before", "\r" + get, ""}, // the parser refuses the request
		{"a bare line feed in the head", "GET / HTTP/1.1\nHost: a\r\n\r\n", "without a carriage return"},
		{"a bare line feed at its end", "GET / HTTP/1.1\r\nHost: a\r\n\n", "without a carriage return"},
		{"a body", "POST / HTTP/1.1\r\ncontent-LENGTH:  5 \r\n\r\n\n\n\n\n\n" + get, ""},
		{"a body, and empty lines", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n\n\n\n\n\n\r\n\r\n" + get, "empty lines"},
		{"chunks", chunkedHead + "2\r\nab\r\n0000A\r\n0123456789\r\n0\r\n\r\n" + get, ""},
		{"a short extension", chunkedHead + "2;name=value;other=\"x\"\r\nab\r\n0;last\r\n\r\n" + get, ""},
		{"a trailer", chunkedHead + "2\r\nab\r\n0\r\nx-sum: 1\r\n\r\n" + get, ""},
		{"an extension of 64 KB", chunkedHead + "2;" + strings.Repeat("a", 64<<10) + "\r\nab\r\n0\r\n\r\n", "extensions"},
		{"many extensions", chunkedHead + strings.Repeat("1;"+strings.Repeat("a", 100)+"\r\na\r\n", 11), "extensions"},
		{"a long last extension", chunkedHead + "0;" + strings.Repeat("a", 2000) + "\r\n\r\n", "extensions"},
		{"a line feed in an extension", chunkedHead + "2;a\nb\r\nab\r\n", "control"},
		{"a bare carriage return in an extension", chunkedHead + "2;a\rb\r\nab\r\n", "line feed"},
		{"NUL in an extension", chunkedHead + "2;\x00\r\nab\r\n", "control"},
		{"zeros without end", chunkedHead + strings.Repeat("0", 100) + "2\r\nab\r\n", "too long"},
		{"a size beyond all numbers", chunkedHead + "FFFFFFFFFFFFFFFF\r\n", "too long"},
		{"no size", chunkedHead + "\r\nab\r\n", "no size"},
		{"a sign", chunkedHead + "+2\r\nab\r\n", "no size"},
		{"0x", chunkedHead + "0x2\r\nab\r\n", "no number"},
		{"a space behind the size", chunkedHead + "2 \r\nab\r\n", "no number"},
		{"a size that ends by LF", chunkedHead + "2\nab\r\n", "no number"},
		{"more than the size", chunkedHead + "2\r\nabc\r\n", "longer"},
		{"data that ends by LF", chunkedHead + "2\r\nab\n0\r\n\r\n", "longer"},
		{"long trailers", chunkedHead + "0\r\n" + strings.Repeat("x: y\r\n", 200) + "\r\n", "trailers"},
		{"a long trailer", chunkedHead + "0\r\nx: " + strings.Repeat("y", 2000), "trailers"},
		{"a trailer that ends by LF", chunkedHead + "0\r\nx: y\n\r\n", "without a carriage return"},
		{"what the edge refuses", "POST / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n\n\n\n", ""},
		{"two lengths", "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n\n\n\n", ""},
		{"length and chunks", "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\n\n\n", ""},
	}
	for _, c := range cases {
		for _, step := range []int{1, 2, 7, 1 << 20} {
			g, got := &Guard{}, ""
			for in := c.in; in != "" && got == ""; {
				n := min(step, len(in))
				got = g.Received([]byte(in[:n]))
				in = in[n:]
			}
			if (got == "") != (c.wrong == "") || !strings.Contains(got, c.wrong) {
				t.Errorf("%s, %d at a time: %q, want %q", c.what, step, got, c.wrong)
			}
		}
	}
}

func TestAllocations(t *testing.T) {
	long := "GET / HTTP/1.1\r\nX-Long: " + strings.Repeat("a", 500) + "\r\nContent-Length: 1\r\n\r\nx"
	g, in := &Guard{}, []byte(long+chunkedHead+"2\r\nab\r\n0\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() { g.Received(in) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
