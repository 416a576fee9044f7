package doctor

import (
	"fmt"

	"github.com/sluice-gateway/sluice/config"
)

// Configuration is what is wrong with a configuration file, at its places.
func Configuration(file string, faults []config.Fault) []Finding {
	const way = "change the file there; gateway check shows the line"
	var all []Finding
	for i := range faults {
		f := &faults[i]
		a := about{"configuration", f.File}
		if f.Line > 0 {
			a.subject = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
		}
		if f.Warning {
			all = append(all, a.warn(way, "%s", f.Message))
		} else {
			all = append(all, a.fail(way, "%s", f.Message))
		}
	}
	if Worst(all) != Fail {
		all = append(all, about{"configuration", file}.ok("it is valid"))
	}
	return all
}

// RootSecret is what is wrong with the root secret, nil err for nothing.
func RootSecret(dataDir string, err error) []Finding {
	a := about{"root secret", dataDir}
	if err != nil {
		return []Finding{a.fail("give it 16 bytes or more and mode 0600, the same to every gateway of a ledger", "%v", err)}
	}
	return []Finding{a.ok("it can be read")}
}

// BadUpstreams is that the upstreams cannot be called, for err.
func BadUpstreams(err error) []Finding {
	a := about{"upstream", ""}
	const way = "mend what the message names: a file of authorities, a proxy, an AWS profile, an endpoint"
	return []Finding{a.fail(way, "%v", err)}
}
