package batchjob

import "strings"

// OwnerKey is before the ARN of a job where a ledger keeps owners.
const OwnerKey = "batch/"

// Owner is who started a job through a gateway, and what is known of it until it is settled. No part has a space.
type Owner struct {
	Tenant, Key string
	Record      string // id of the usage record that holds budgets for it
	Model       string // id that was sent
	Upstream    string // configured name, "" for the default one
}

// String is what ParseOwner reads.
func (o Owner) String() string {
	return strings.Join([]string{o.Tenant, o.Key, o.Record, o.Model, o.Upstream}, " ")
}

// ParseOwner reads what String wrote; ok is false for anything else.
func ParseOwner(text string) (o Owner, ok bool) {
	part := strings.Split(text, " ")
	if len(part) != 5 {
		return o, false
	}
	return Owner{part[0], part[1], part[2], part[3], part[4]}, true
}
