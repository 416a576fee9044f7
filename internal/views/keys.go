package views

import "time"

// keysOf are all keys that may be seen. No secret is among them.
func keysOf(a *ask) error {
	t := &Table{Name: "keys", Title: "By tenant", Empty: "There are no keys here.", Columns: []Column{
		{Name: "key_id", Title: "key", Kind: Text}, {"tenant", "tenant", Text, "tenant", "tenant"},
		{Name: "state", Title: "state", Kind: Text}, {Name: "name", Title: "name", Kind: Text},
		{Name: "owner", Title: "owner", Kind: Text}, {Name: "source", Title: "comes from", Kind: Text},
		{Name: "issued", Title: "issued", Kind: Time}, {Name: "issued_by", Title: "by", Kind: Text},
		{Name: "expires", Title: "expires", Kind: Time}, {Name: "ends", Title: "replaced, ends", Kind: Time},
		{Name: "last_used", Title: "last used", Kind: Time}, {Name: "note", Title: "note", Kind: Text},
	}}
	at := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return Stamp(*t)
	}
	for _, k := range a.shelf.from.Keys(a.query.Tenant) {
		note := k.Note
		if k.Reason != "" {
			note = k.Reason + " " + note
		}
		t.Add(k.ID, k.Tenant, string(k.State), k.Name, k.Owner, k.Source, at(k.Issued), k.IssuedBy, at(k.Expires), at(k.Ends),
			at(k.LastUsed), note)
	}
	a.Source = "configuration and audit log of keys"
	a.Notes = append(a.Notes, "Keys are as they are now, whatever period is chosen above.")
	a.Tables = []*Table{t}
	return nil
}
