package config

import (
	"strings"
	"testing"
)

// TestCapacityMistakes: each kind has keys that it needs and others that it cannot have, and a term is kept.
func TestCapacityMistakes(t *testing.T) {
	f := func(rest, want string) {
		t.Helper()
		text := "tenants: [{id: acme/a}]\ncapacity: [{name: x, models: [amazon.nova-pro-v1:0], from: 2026-01-31, " +
			rest + "}]"
		_, err := load(&decoder{env: testEnv}, "sluice.yaml", []byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: want %q, got\n%v", rest, want, err)
		}
	}
	const arn = "arn: 'arn:aws:bedrock:us-east-1:123456789012:provisioned-model/a', "
	const endpoint = "arn: 'arn:aws:sagemaker:us-east-1:123456789012:endpoint/a', "
	f("kind: provisioned, "+arn+"usd_per_hour: 1", "")
	f("kind: endpoint, "+endpoint+"usd_per_hour: 1", "")
	f("kind: reserved, tenants: [acme], usd_per_month: 1, term: 1-month", "")

	const imported = "arn: 'arn:aws:bedrock:us-east-1:123456789012:imported-model/a', "
	f("kind: imported, "+imported+"usd_per_minute: 0.05718, units: 8, copies: 2, usd_per_month: 1.95", "")
	f("kind: imported, "+imported+"usd_per_hour: 1", "imported needs usd_per_minute, and no usd_per_hour")
	f("kind: imported, "+arn+"usd_per_minute: 1", "must be an ARN such as arn:aws:bedrock:us-east-1:123456789012:imported")
	f("kind: imported, "+imported+"usd_per_minute: 9000000", "costs more in a month than a ledger counts")
	f("kind: imported, "+imported+"usd_per_minute: 1, term: 1-month", "imported is bought for none")
	f("kind: imported, "+imported+"usd_per_minute: 1, first_byte: 1s", "first_byte: is not for imported")
	f("kind: imported, "+imported+"usd_per_minute: 1, input_tokens_per_minute: 1", "a window is used whole or not at all")
	f("kind: imported, "+imported+"usd_per_minute: 1, spill_to: 'arn:aws:bedrock:us-east-1:123456789012:imported-model/a'",
		"must be another model than the imported one")
	f("kind: provisioned, "+arn+"usd_per_hour: 1, spill_to: b", "spill_to: is for imported alone")
	f("kind: provisioned, "+arn+"usd_per_hour: 1, copies: 2", "copies: is for imported alone")
	f("kind: provisioned, "+arn+"usd_per_hour: 1, usd_per_minute: 1", "usd_per_minute: is for imported alone")

	f("kind: provisioned, "+arn+"usd_per_hour: 0", "must be more than nothing")
	f("kind: provisioned, "+arn+"units: 2", "provisioned needs usd_per_hour, and no usd_per_month")
	f("kind: reserved, tenants: [acme], usd_per_hour: 1, term: 1-month",
		"reserved needs usd_per_month, and no usd_per_hour")
	f("kind: provisioned, "+arn+"usd_per_hour: 9000000", "costs more in a month than a ledger counts")
	f("kind: reserved, usd_per_month: 1, term: 1-month", `needs the key "tenants": who is entitled to it`)
	f("kind: reserved, tenants: [acme], usd_per_month: 1, term: 6-months",
		`reserved is bought for 1-month, 3-months, not for "6-months"`)
	f("kind: provisioned, "+arn+"usd_per_hour: 1, term: 1-year", "must be one of none, 1-month, 3-months, 6-months")
	f("kind: provisioned, "+arn+"usd_per_hour: 1, term: 1-month, to: 2026-02-15", "is before the term of 1-month ends")
	f("kind: provisioned, "+arn+"usd_per_hour: 1, to: 2026-01-30", "ends before it begins")
	f("kind: provisioned, "+endpoint+"usd_per_hour: 1", "must be an ARN such as arn:aws:bedrock:")
	f("kind: provisioned, usd_per_hour: 1", "must be an ARN such as arn:aws:bedrock:")
	f("kind: reserved, "+arn+"tenants: [acme], usd_per_month: 1, term: 1-month", "reserved has no ARN")
	f("kind: provisioned, "+arn+"usd_per_hour: 1, tenants: [other]", `there is no tenant "other"`)
	f("kind: provisioned, "+arn+"usd_per_hour: 1, idle_to: other", `there is no tenant "other"`)
	f("kind: rented, "+arn+"usd_per_hour: 1", "must be one of provisioned, reserved, endpoint, imported")
	f("kind: provisioned, "+arn+"usd_per_hour: 1}, {name: 'x storage', models: [a], from: 2026-01-31, kind: reserved",
		`capacity[1].name: must not end in " storage" or " (idle)": lines of bills do`)
}
