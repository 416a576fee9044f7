package proxied

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/network"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// header is one of a version with a command, of a family, with what follows.
func header(command, family byte, rest string) string {
	head := append([]byte(Signature), command, family)
	return string(binary.BigEndian.AppendUint16(head, uint16(len(rest)))) + rest
}

func tlv(kind byte, value string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))) + value
}

// summed is a header whose last TLV is its right checksum.
func summed(command, family byte, rest string) string {
	whole := []byte(header(command, family, rest+tlv(checksum, "\x00\x00\x00\x00")))
	sum := crc32.Checksum(whole, crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(whole[len(whole)-4:], sum)
	return string(whole)
}

const (
	four = "\xcb\x00\x71\x07" + "\xc0\x00\x02\x01" + "\xde\xad" + "\x01\xbb"
	six  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "\xde\xad" + "\x01\xbb"
	mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff" + "\xcb\x00\x71\x07" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff" + "\xc0\x00\x02\x01" + "\xde\xad" + "\x01\xbb"
)

// headers are those of section 2.2 of the specification.
var headers = []struct{ name, header, want string }{
	{"TCP over IPv4", header(0x21, 0x11, four), "203.0.113.7"},
	{"TCP over IPv6", header(0x21, 0x21, six), "2001:db8::7"},
	{"IPv4 in IPv6", header(0x21, 0x21, mapped), "203.0.113.7"},
	{"LOCAL", header(0x20, 0x00, ""), ""},
	{"LOCAL with addresses", header(0x20, 0x11, four), ""},
	{"LOCAL of any family", header(0x20, 0xff, "xyz"), ""},
	{"unknown protocol", header(0x21, 0x00, ""), ""},
	{"unknown protocol, with something", header(0x21, 0x00, "xyz"), ""},
	{"a Unix socket", header(0x21, 0x31, strings.Repeat("\x00", 216)), ""},
	{"TLVs", header(0x21, 0x11, four+tlv(0x01, "h2")+tlv(0x02, "example.com")+tlv(0x04, "")+tlv(0xea, "\x01vpce-1")),
		"203.0.113.7"},
	{"TLVs of TLS within", header(0x21, 0x21, six+tlv(0x20, "\x01\x00\x00\x00\x00"+tlv(0x21, "TLSv1.3"))),
		"2001:db8::7"},
	{"a large TLV", header(0x21, 0x11, four+tlv(0x04, strings.Repeat("x", 65535-12-3))), "203.0.113.7"},
	{"checksum", summed(0x21, 0x11, four), "203.0.113.7"},
	{"checksum behind a TLV", summed(0x21, 0x21, six+tlv(0x05, "id")), "2001:db8::7"},

	{"version 1", header(0x11, 0x11, four), string(errVersion)},
	{"version 0", header(0x01, 0x11, four), string(errVersion)},
	{"version 3", header(0x31, 0x11, four), string(errVersion)},
	{"an unknown command", header(0x22, 0x11, four), string(errCommand)},
	{"the last command", header(0x2f, 0x11, four), string(errCommand)},
	{"UDP over IPv4", header(0x21, 0x12, four), string(errFamily)},
	{"UDP over IPv6", header(0x21, 0x22, six), string(errFamily)},
	{"Unix datagrams", header(0x21, 0x32, strings.Repeat("\x00", 216)), string(errFamily)},
	{"IPv4 without a transport", header(0x21, 0x10, four), string(errFamily)},
	{"an unknown family", header(0x21, 0x41, four), string(errFamily)},
	{"no addresses", header(0x21, 0x11, ""), string(errShort)},
	{"short of IPv4", header(0x21, 0x11, four[1:]), string(errShort)},
	{"IPv4 as IPv6", header(0x21, 0x21, four), string(errShort)},
	{"short of IPv6", header(0x21, 0x21, six[1:]), string(errShort)},
	{"short of a Unix socket", header(0x21, 0x31, strings.Repeat("\x00", 215)), string(errShort)},
	{"half a TLV's head", header(0x21, 0x11, four+"\x04\x00"), string(errTLV)},
	{"a TLV beyond the end", header(0x21, 0x11, four+"\x04\x00\x02x"), string(errTLV)},
	{"a TLV, and a byte", header(0x21, 0x11, four+tlv(0x04, "x")+"y"), string(errTLV)},
	{"a wrong checksum", header(0x21, 0x11, four+tlv(checksum, "abcd")), string(errChecksum)},
	{"a short checksum", header(0x21, 0x11, four+tlv(checksum, "abc")), string(errChecksum)},
	{"a changed address", strings.Replace(summed(0x21, 0x11, four), "\x71\x07", "\x71\x08", 1), string(errChecksum)},
}

// read reads a header and reports how much is left behind it.
func read(text string) (netip.Addr, int, error) {
	r := strings.NewReader(text)
	if _, err := io.ReadFull(r, make([]byte, len(Signature))); err != nil {
		return netip.Addr{}, r.Len(), err
	}
	a, err := ReadHeader(r)
	return a, r.Len(), err
}

func TestHeaders(t *testing.T) {
	for _, h := range headers {
		const behind = "GET / HTTP/1.1\r\n"
		a, left, err := read(h.header + behind)
		got := ""
		if a.IsValid() {
			got = a.String()
		}
		if err != nil {
			got = err.Error()
		}
		if got != h.want || left != len(behind) {
			t.Errorf("%s: %q, want %q; %d bytes left", h.name, got, h.want, left)
		}
		var fault HeaderError
		for n := range min(len(h.header), 300) {
			if _, _, err := read(h.header[:n]); err == nil || errors.As(err, &fault) {
				t.Errorf("%s, %d of %d bytes: %v", h.name, n, len(h.header), err)
			}
		}
	}
}

// FuzzHeader: any bytes are read within what they announce, and are an address, nobody's
// or a fault.
func FuzzHeader(f *testing.F) {
	for _, h := range headers {
		f.Add([]byte(h.header))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < fixedSize {
			return
		}
		r := bytes.NewReader(b[len(Signature):])
		a, err := ReadHeader(r)
		announced := int(binary.BigEndian.Uint16(b[fixedSize-2:]))
		var fault HeaderError
		switch whole := len(b)-fixedSize >= announced; {
		case whole != (err == nil || errors.As(err, &fault)):
			t.Errorf("%d bytes of %d: %v", len(b)-fixedSize, announced, err)
		case whole && len(b)-fixedSize-r.Len() != announced:
			t.Errorf("%d bytes are left, announced were %d of %d", r.Len(), announced, len(b)-fixedSize)
		case a.IsValid() && (err != nil || a.Is4In6() || a.Zone() != ""):
			t.Errorf("%v, %v", a, err)
		}
	})
}

func TestCaller(t *testing.T) {
	trusted := network.Set{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	f := func(from, want string, fields ...string) {
		t.Helper()
		var h wire.Header
		for _, v := range fields {
			h = append(h, wire.Field{Name: "X-Forwarded-For", Value: v},
				wire.Field{Name: "Forwarded", Value: "for=1.1.1.1"})
		}
		if got := Caller(trusted, netip.MustParseAddr(from), h); got.String() != want {
			t.Errorf("%s, %q: %s, want %s", from, fields, got, want)
		}
	}
	const proxy, other = "10.0.0.1", "203.0.113.7"
	f(other, other, "198.51.100.1") // says so of himself
	f(proxy, proxy)
	f(proxy, other, other)
	f(proxy, other, "198.51.100.1, "+other)                         // the left one is what the caller said
	f(proxy, other, "198.51.100.1", other)                          // in two fields
	f(proxy, other, "198.51.100.1,"+other+" ,\t10.9.9.9, 10.1.1.1") // by two more proxies
	f(proxy, "10.7.7.7", "10.7.7.7, 10.1.1.1")                      // from within
	f(proxy, other, other+":4711")
	f(proxy, "2001:470::1", "[2001:470::1]:443")
	f(proxy, "2001:470::1", "[2001:470::1]")
	f(proxy, "2001:470::1", "2001:470::1, 2001:db8::5")
	f(proxy, other, "::ffff:"+other)
	f("2001:db8::1", other, other)
	f("::ffff:10.0.0.1", other, other)
	f(proxy, "fe80::1", "fe80::1%eth0")
	for _, wrong := range []string{"", " ", "unknown", "_hidden", "198.51.100.1,", "example.com", "1.2.3",
		"1.2.3.4.5", "1.2.3.4:", "1.2.3.4:99999", "\"203.0.113.7\"", "203.0.113.7 10.0.0.1", "203.0.113.7/32",
		"[203.0.113.7", "0x7f.1"} {
		f(proxy, proxy, wrong)
	}
	f(proxy, "10.2.2.2", "198.51.100.1, unknown, 10.2.2.2") // who wrote what is no address
	f(proxy, "10.2.2.2", "198.51.100.1", "unknown, 10.2.2.2")
	said := wire.Header{{Name: "x-forwarded-for", Value: other}}
	if got := Caller(nil, netip.MustParseAddr(proxy), said); got.String() != proxy {
		t.Errorf("nobody is trusted, and it is %s", got)
	}
}
