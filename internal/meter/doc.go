// Package meter turns calls into money that cannot get lost: it writes usage
// records (meter/record) to a journal (meter/journal), and its shipper adds them to
// a ledger (meter/ledger) exactly once.
//
// Begin journals a START before a call leaves, End its END with all that the
// call adds to the counters. The shipper sends these postings to the ledger in
// batches, in order, only from bytes that are as durable as the journal's
// setting promises; the ledger's watermark decides where it goes on, so lost
// replies, failovers and restarts change nothing. A START without END becomes
// an UNKNOWN record at the next Open, its estimate in suspense.
//
// A START carries what the attempt holds of budgets, its END what became of it.
// Records are never changed: RESOLVE posts the truth about an unknown attempt,
// ADJUST a correction, both in a journal of their own (meter/audit). RETIRE ends
// a writer.
//
// It does not reserve budgets, and it does not read reports: meter/redis and
// meter/embedded hold the counters.
package meter
