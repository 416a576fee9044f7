// Package proxied finds who calls when proxies that the operator trusts are between: they
// say it by the PROXY protocol of version 2, or by X-Forwarded-For.
//
// The protocol is that of https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt.
package proxied

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"net/netip"
)

// Signature is how a header of version 2 begins. No request of HTTP does.
const Signature = "\r\n\r\n\x00\r\nQUIT\n"

// fixedSize is how long the part of a header is that every one has.
const fixedSize = len(Signature) + 4

// HeaderError is what is wrong with a header that came whole.
type HeaderError string

const (
	errVersion  HeaderError = "it is not of version 2"
	errCommand  HeaderError = "its command is neither LOCAL nor PROXY"
	errFamily   HeaderError = "its addresses are not those of a stream"
	errShort    HeaderError = "it is shorter than its addresses"
	errTLV      HeaderError = "its TLVs do not end where it ends"
	errChecksum HeaderError = "its checksum is wrong"
)

// Error implements error.
func (e HeaderError) Error() string { return string(e) }

// The bytes 13 and 14 of a header.
const (
	versionMask, version = 0xf0, 0x20
	local, proxy         = 0x0, 0x1

	unspecified = 0x00 // of an unknown protocol
	tcp4        = 0x11
	tcp6        = 0x21
	unixStream  = 0x31

	checksum = 0x03 // the type of a TLV
	tlvHead  = 3
)

// addressSizes are how long source, destination and their ports are together.
var addressSizes = map[byte]int{unspecified: 0, tcp4: 12, tcp6: 36, unixStream: 216}

// ReadHeader reads the rest of a header behind its Signature, and returns the address of who
// opened the connection. It is the zero Addr when that is the proxy itself, or nobody who has
// an address. It fails with a HeaderError, or as r does.
func ReadHeader(r io.Reader) (netip.Addr, error) {
	var fixed [fixedSize]byte
	if _, err := io.ReadFull(r, fixed[copy(fixed[:], Signature):]); err != nil {
		return netip.Addr{}, err
	}
	whole := make([]byte, fixedSize+int(binary.BigEndian.Uint16(fixed[fixedSize-2:])))
	if _, err := io.ReadFull(r, whole[copy(whole, fixed[:]):]); err != nil {
		return netip.Addr{}, err
	}
	return parse(whole)
}

// parse reads a whole header.
func parse(whole []byte) (netip.Addr, error) {
	command, family, rest := whole[12]&^versionMask, whole[13], whole[fixedSize:]
	size, known := addressSizes[family]
	switch {
	case whole[12]&versionMask != version:
		return netip.Addr{}, errVersion
	case command == local: // whatever else is in it
		return netip.Addr{}, nil
	case command != proxy:
		return netip.Addr{}, errCommand
	case !known:
		return netip.Addr{}, errFamily
	case family == unspecified: // what follows has no known form
		return netip.Addr{}, nil
	case len(rest) < size:
		return netip.Addr{}, errShort
	}
	if err := checkTLVs(whole, fixedSize+size); err != nil {
		return netip.Addr{}, err
	}
	switch family {
	case tcp4:
		return netip.AddrFrom4([4]byte(rest)), nil
	case tcp6:
		return netip.AddrFrom16([16]byte(rest)).Unmap(), nil
	default:
		return netip.Addr{}, nil
	}
}

// checkTLVs looks whether the TLVs from a place on fill the header, and at its checksum, if
// it has one. Nothing else in them matters here.
func checkTLVs(whole []byte, at int) error {
	for at < len(whole) {
		if len(whole)-at < tlvHead {
			return errTLV
		}
		value := whole[at+tlvHead:]
		size := int(binary.BigEndian.Uint16(whole[at+1:]))
		if size > len(value) {
			return errTLV
		}
		if whole[at] == checksum && !checks(whole, value[:size]) {
			return errChecksum
		}
		at += tlvHead + size
	}
	return nil
}

// checks reports whether sum, which is a part of the header, is its CRC32c, for which it
// counts as zeros.
func checks(whole, sum []byte) bool {
	if len(sum) != crc32.Size {
		return false
	}
	want := binary.BigEndian.Uint32(sum)
	clear(sum)
	return crc32.Checksum(whole, crc32.MakeTable(crc32.Castagnoli)) == want
}
