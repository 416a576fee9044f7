// Package sandbox is a stand-in for Amazon Bedrock Runtime: the real wire, canned
// answers. It is there to try a gateway out without an AWS account, and for
// tests, which script its models (latency, throttling, errors, broken streams)
// and use its log as the record of what was served.
//
// It calls no model. Every default answer says so. Token counts are made up, one
// per four bytes of text, and the same for the same text.
//
// What holds:
//   - Nobody is answered without a valid Signature V4 or bearer token.
//   - The log line of a call is on disk before the client can learn the last of
//     its usage. What the log says was billed: a stream that a client leaves, or
//     that a script breaks off, is billed whole, as Bedrock does, and its line
//     says complete: false. An exception inside a stream bills what was sent.
//   - Prompts with cache points read and write a cache, whose minimum is that of the
//     model in the shipped catalogue. A script's own counts go before it.
//   - Bodies are decoded by encoding/json, not by package wire's scanner, so that
//     the two do not share mistakes.
//
// Wire form: AWS service model bedrock-runtime 2023-09-30, and recorded answers
// of the real service for what the model leaves open: the filler member "p" of
// stream events, the URI behind x-amzn-ErrorType, the names of stream metrics.
//
// It does not speak HTTP/2, so InvokeModelWithBidirectionalStream is refused.
package sandbox
