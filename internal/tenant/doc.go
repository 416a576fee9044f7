// Package tenant says who a caller is and what they may do: tenants as paths,
// the credentials derived for their keys, and their policy on models and
// operations.
//
// No credential is stored anywhere. Each derives from the root secret and the
// key id, so issuing a key writes nothing and revoking one means removing its id
// from the configuration. A Directory is immutable and safe for concurrent
// use; a reload builds a new one.
//
// It does not count, price or limit anything: budgets and limits are carried
// for meter. Invariants: a tenant comes from a proven credential and from
// nothing else in a request, and an error never shows whether the key is unknown
// or the secret wrong.
package tenant
