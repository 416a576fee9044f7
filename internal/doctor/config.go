package doctor

import (
	"errors"
	"fmt"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/userfile"
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

// Unreadable is that a configuration file cannot be read at all, for err.
func Unreadable(file string, err error) []Finding {
	message := err.Error()
	var why *userfile.Error
	if errors.As(err, &why) {
		message = why.Why // the finding names the file
	}
	const way = "name the file that is meant with --config; gateway quickstart writes a first one to data/quickstart.yaml"
	return []Finding{about{"configuration", file}.fail(way, "%s", message)}
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
