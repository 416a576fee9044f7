// Package peers lets the gateways of one ledger hold the strictest of their files.
//
// Gateways that share a ledger are meant to have the same budgets and limits. While
// their files differ, each window has the least of what the files of all living
// gateways allow, on every gateway: each declares in the ledger what its own file
// says, for a lease that it renews, and goes by what the others declare beside its
// own. So a raise or a removal counts once every living gateway has it, and one that
// died holds nobody back for longer than its lease. No request waits for any of this.
//
// How declarations are kept: docs/format/redis.md.
package peers
