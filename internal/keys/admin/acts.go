package admin

import (
	"context"
	"fmt"
	"net/http"

	"github.com/sluice-gateway/sluice/internal/keys"
)

// act does what the path names to its key.
func (r *request) act(do func(*Office, context.Context, Who, string) (Key, error)) (*answer, error) {
	var in reasoned
	if err := r.read(&in); err != nil {
		return nil, err
	}
	if in.Tenant != "" {
		return nil, fmt.Errorf("%w: a tenant is frozen below %s/tenants", ErrInvalid, Prefix)
	}
	by, err := r.by(in.Reason)
	if err != nil {
		return nil, err
	}
	return r.shown(do(r.office, r.Context(), by, r.PathValue("id")))
}

// tenant does what the path names to the tenant in the body.
func (r *request) tenant(do func(*Office, context.Context, Who, string) error) (*answer, error) {
	var in reasoned
	if err := r.read(&in); err != nil {
		return nil, err
	}
	by, err := r.by(in.Reason)
	if err == nil {
		err = do(r.office, r.Context(), by, in.Tenant)
	}
	if err != nil {
		return nil, err
	}
	return r.frozenTenants()
}

func (r *request) frozenTenants() (*answer, error) {
	return &answer{http.StatusOK, struct {
		Frozen  []string `json:"frozen"`
		Waiting bool     `json:"waiting_for_ledger,omitempty"`
	}{append([]string{}, r.office.FrozenTenants()...), r.office.Book.Waiting() > 0}}, nil
}

// Entry is an act as the audit log shows it.
type Entry struct {
	Line int `json:"line,omitempty"` // of the file, 0 for one that only the ledger has
	*keys.Act
	Hash   string `json:"hash"`
	Sealed bool   `json:"sealed"`
	Broken string `json:"broken,omitempty"`
}

// Audit is all acts, and which do not follow from those before them.
type Audit struct {
	Acts   []Entry `json:"acts"`
	Broken []Entry `json:"broken"` // the first one of each writer
}

// NewAudit verifies the acts of a file.
func NewAudit(lines []keys.Line) *Audit {
	broken := keys.Verify(lines)
	a := &Audit{Acts: []Entry{}, Broken: []Entry{}}
	for i := range lines {
		a.Acts = append(a.Acts, entryOf(&lines[i]))
	}
	for _, l := range broken {
		a.Broken = append(a.Broken, entryOf(l))
	}
	return a
}

func entryOf(l *keys.Line) Entry { return Entry{l.Number, &l.Act, l.Hash, l.Sealed, l.Broken} }

func (r *request) audit() (*answer, error) {
	lines, err := r.office.Book.Lines()
	if err != nil {
		return nil, err
	}
	return &answer{http.StatusOK, NewAudit(lines)}, nil
}
