// Package wire is the Bedrock Runtime wire: operations and paths, the facts of
// a request body, splices, event-stream frames, usage and errors.
//
// It reads bodies in one pass without decoding them and changes them only by
// splices, so every byte that need not change stays as it is. Differences
// between model families are rows of the dialect table, not branches. It knows
// nothing of HTTP servers, tenants or money.
package wire
