package batchjob

import (
	"strconv"
	"strings"
)

// OwnerKey is before the ARN of a job where a ledger keeps owners.
const OwnerKey = "batch/"

// Owner is who started a job through a gateway, and what is known of it until it is settled. No part has a space.
type Owner struct {
	Tenant, Key string
	Record      string // id of the usage record that holds budgets for it
	Model       string // id that was sent
	Upstream    string // configured name, "" for the default one
	Records     int64  // that were counted in its input, 0 where it was not read
}

// String is what ParseOwner reads.
func (o Owner) String() string {
	parts := []string{o.Tenant, o.Key, o.Record, o.Model, o.Upstream, strconv.FormatInt(o.Records, 10)}
	return strings.Join(parts, " ")
}

// ParseOwner reads what String wrote, or did before it had Records; ok is false for anything else.
func ParseOwner(text string) (o Owner, ok bool) {
	part := strings.Split(text, " ")
	switch len(part) {
	case 5:
	case 6:
		n, err := strconv.ParseInt(part[5], 10, 64)
		if err != nil {
			return o, false
		}
		o.Records = n
	default:
		return o, false
	}
	o.Tenant, o.Key, o.Record, o.Model, o.Upstream = part[0], part[1], part[2], part[3], part[4]
	return o, true
}
