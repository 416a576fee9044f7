// Package network has networks as people write them, and looks whether an address is in
// one.
package network

import (
	"fmt"
	"net/netip"
	"slices"
)

// Set is some networks, as Canonical makes them. The zero value is empty.
type Set []netip.Prefix

// Has reports whether an address is in one of the networks.
func (s Set) Has(a netip.Addr) bool {
	a = a.Unmap().WithZone("") // no network has one
	return slices.ContainsFunc(s, func(n netip.Prefix) bool { return n.Contains(a) })
}

// Canonical is a network without bits behind its mask, and one of IPv4 as such: the
// addresses that it is compared with are of this form.
func Canonical(n netip.Prefix) netip.Prefix {
	const mapped = 96 // bits of IPv6 before an IPv4 address in it
	if n.Addr().Is4In6() && n.Bits() >= mapped {
		n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-mapped)
	}
	return n.Masked()
}

// Parse reads a network such as 10.0.0.0/8 or 2001:db8::/32, or an address.
func Parse(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := netip.ParsePrefix(text)
	if err != nil {
		return n, fmt.Errorf("%q is no network such as 10.0.0.0/8, and no address", text)
	}
	return Canonical(n), nil
}
