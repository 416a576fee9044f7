package network

import (
	"net/netip"
	"testing"
)

func TestNetworks(t *testing.T) {
	f := func(text, address string, in bool) {
		t.Helper()
		n, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := (Set{netip.MustParsePrefix("192.0.2.7/32"), n}).Has(netip.MustParseAddr(address)); got != in {
			t.Errorf("%s in %s: %v", address, text, got)
		}
	}
	f("10.0.0.0/8", "10.255.0.1", true)
	f("10.0.0.0/8", "11.0.0.1", false)
	f("10.1.2.3/8", "10.255.0.1", true)
	f("10.1.2.3", "10.1.2.3", true)
	f("10.1.2.3", "10.1.2.4", false)
	f("10.1.2.3", "192.0.2.7", true) // the other one
	f("::ffff:10.0.0.0/104", "10.1.2.3", true)
	f("10.0.0.0/8", "::ffff:10.1.2.3", true)
	f("2001:db8::/32", "2001:db8:1::1", true)
	f("2001:db8::1", "2001:db8::2", false)
	f("fe80::/10", "fe80::1%eth0", true)
	f("::/0", "10.1.2.3", false)
	if (Set{}).Has(netip.Addr{}) || (Set{netip.MustParsePrefix("0.0.0.0/0")}).Has(netip.Addr{}) {
		t.Error("no address is in a network")
	}
	for _, wrong := range []string{"", "x", "10.0.0.0/33", "10.0.0/8", "10.0.0.300",
		"2001:db8::/129", "fe80::1%eth0", "/8"} {
		if n, err := Parse(wrong); err == nil {
			t.Errorf("%q is %v", wrong, n)
		}
	}
}
