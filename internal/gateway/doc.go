// Package gateway is the request line itself, and nothing else:
//
//	accept → authenticate → read → plan → reserve → shape → call → check ─┬→ respond → record → settle → observe
//	                                                   ↑                  │
//	                                                   └── next leg ──────┘
//
// Each step is one function, in a file of its name, that takes the *call and
// what it needs. No step reads a context value or a global; what is decided
// about a request stands in its call. The line knows neither HTTP version (see
// Request and Response) nor how an upstream or a ledger works.
//
// Invariants: no call leaves without a journalled START; each attempt ends in
// exactly one END; no byte of a leg that may still be left behind reaches the
// caller; whoever leaves early does not stop the books.
package gateway
