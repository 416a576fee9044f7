// Package session knows which session a request belongs to, and whether the session goes round in circles: the same
// tool with the same arguments again, too much spent in a minute, a context that grows and grows. What it keeps of a
// session is hashes and numbers, never a word of what was asked.
//
// What a session may spend is no matter of this package: its windows are those of budgets
// (budget.Policies.ForSession).
package session
