// Package keys is what was done to keys while gateways run: issued, changed,
// frozen, thawed, revoked. Each of these is an Act, a line of data_dir/keys.jsonl
// before it has any effect.
//
// All acts together make the State, by one function of the set: neither the order
// in which acts arrive nor who else acted at once matters, so gateways that know the
// same acts agree. Every gateway keeps the acts of all others on its own disk, and a
// shared ledger, a Board, carries them. Whoever finds the board without an act that
// it knows puts it there again, so a board that lost everything is filled by any one
// gateway.
//
// What holds whatever is lost: a key that was once revoked is never admitted by a
// gateway that knew of it, whatever its configuration says. Acts are sealed with
// the root secret, so who can only write to the ledger can take rights away and give
// none back. No secret is in an act: credentials derive from the root secret and
// the id of the key.
//
// docs/format/keys.md has the lines, and the keys of the board.
package keys
