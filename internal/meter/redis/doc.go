// Package redis is the ledger that many gateways share: the counters in Redis
// or Valkey from version 7.0, single, watched by Sentinel, or a Cluster.
//
// What holds, whatever is lost on the way:
//
//   - A posting is in the counters if and only if its number is not above the
//     watermark of its writer and root, because one script changes both, in one
//     cluster slot, and refuses before its first write what it will not do.
//   - So every call may be repeated. The client's own retries are off all the
//     same: the caller decides, and a failure is never hidden.
//   - Amounts travel as text and are added by HINCRBY alone.
//   - Redis never evicts a counter: another policy than noeviction is refused.
//
// It holds no truth: after a loss the writers' journals fill it again.
// docs/format/redis.md describes the keys.
package redis
