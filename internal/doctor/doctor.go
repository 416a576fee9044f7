// Package doctor looks at what a gateway relies on, and says of each thing whether it is
// well, and if it is not, the way out: the machine, the disk, certificates, the ledger,
// the upstreams and what is known of models.
//
// It changes nothing and costs nothing. What it looks at comes as arguments, so that tests
// bring their own.
package doctor

import "fmt"

// State is how well something is.
type State string

// The states.
const (
	OK   State = "ok"
	Warn State = "warn" // it works, and will not for ever or not in every case
	Fail State = "fail" // it does not work
)

// Finding is what one check found of one thing.
type Finding struct {
	State   State  `json:"state"`
	Check   string `json:"check"`             // what was looked at: ledger, tls, permission, …
	Subject string `json:"subject,omitempty"` // which one: an address, a file, a model
	Message string `json:"message"`
	WayOut  string `json:"way_out,omitempty"` // "" when it is well
}

// Worst is the worst state of findings, OK for none.
func Worst(all []Finding) State {
	worst := OK
	for i := range all {
		if s := all[i].State; s == Fail || s == Warn && worst == OK {
			worst = s
		}
	}
	return worst
}

// about makes findings of one check about one thing.
type about struct{ check, subject string }

func (a about) ok(format string, args ...any) Finding {
	return Finding{State: OK, Check: a.check, Subject: a.subject, Message: fmt.Sprintf(format, args...)}
}

func (a about) warn(wayOut, format string, args ...any) Finding {
	f := a.ok(format, args...)
	f.State, f.WayOut = Warn, wayOut
	return f
}

func (a about) fail(wayOut, format string, args ...any) Finding {
	f := a.ok(format, args...)
	f.State, f.WayOut = Fail, wayOut
	return f
}
