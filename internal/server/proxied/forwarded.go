package proxied

import (
	"net/netip"
	"strings"

	"github.com/sluice-gateway/sluice/internal/network"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Caller is who calls, on a connection from an address: the rightmost one in
// X-Forwarded-For that is not a trusted proxy, as far as trusted proxies have written it.
func Caller(trusted network.Set, from netip.Addr, h wire.Header) netip.Addr {
	if len(trusted) == 0 || !trusted.Has(from) {
		return from
	}
	for i := len(h) - 1; i >= 0; i-- {
		if !strings.EqualFold(h[i].Name, "x-forwarded-for") {
			continue
		}
		for rest, more := h[i].Value, true; more; {
			var last string
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, last = rest[:comma], rest[comma+1:]
			} else {
				last, more = rest, false
			}
			a, ok := address(last)
			if !ok {
				return from // who wrote that is the last one that is known
			}
			if from = a; !trusted.Has(a) {
				return a
			}
		}
	}
	return from
}

// address reads what proxies write: an address, some with a port.
func address(text string) (netip.Addr, bool) {
	text = strings.Trim(text, " \t")
	a, err := netip.ParseAddr(text)
	if inner, ok := strings.CutPrefix(text, "["); err != nil && ok && strings.HasSuffix(inner, "]") {
		a, err = netip.ParseAddr(inner[:len(inner)-1])
	}
	if err != nil {
		port, portErr := netip.ParseAddrPort(text)
		a, err = port.Addr(), portErr
	}
	return a.Unmap().WithZone(""), err == nil
}
