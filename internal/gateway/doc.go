// Package gateway is the request line itself, and nothing else:
//
//	accept → authenticate → read → plan → reserve → ask → check ─┬→ respond → observe
//	                                                  ↑           │
//	                                                  └─ next leg ┘
//
// Each step is one function, in a file of its name, that takes the *call and
// what it needs. No step reads a context value or a global; what is decided
// about a request is in its call. Asking one model, with its record, is the work
// of package leg; what is asked after the answer, that of package shadow. The line
// knows neither HTTP version (see Request and Response) nor how an upstream or a
// ledger works.
//
// Invariants: no byte of a leg that may still be left behind reaches the caller;
// whoever leaves early does not stop the books.
package gateway
