// Package audit proves and corrects what was counted: it compares journals with the
// ledger (Verify), makes a ledger's counters again (Rebuild), and corrects them
// (Corrections), where the truth about an unknown attempt comes from an
// operator or from Bedrock's invocation log (ResolveLog).
//
// It changes no record. Corrections are records of their own, in a journal of
// their own beside the gateway's, so that they can be made while it runs:
// docs/adr/0010-corrections-have-their-own-journal.md. It knows neither
// configuration nor flags; cmd passes both in.
package audit
