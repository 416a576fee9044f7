// Package budget holds tenants to their budgets and limits without asking the
// ledger on the request path.
//
// A Limiter leases parts of windows from a ledger.Leaser ahead of need and decides
// locally: Reserve takes the worst case of a request out of the leases of every
// window on the tenant's path, all or nothing; each attempt takes its part as a
// Hold, and settling gives back what was not spent. Near a limit leases shrink
// to what is held, and each reservation asks the ledger, several in one call.
//
// It does not post: what was spent reaches the ledger through the charges of a
// usage record. It does not price or estimate either.
//
// Invariants, per account (one window, as far as this writer holds it):
//   - granted − returned − charged ≥ free + held − debt, so that the ledger never
//     has less for this writer than the writer believes;
//   - a totals pair (granted, returned) never goes back while its window lasts;
//   - one ledger call per root is under way at a time.
//
// Every Reservation ends with Release, every Hold with exactly one of Settle,
// Release and Unknown; further calls change nothing. docs/budgets.md has the
// semantics.
package budget
