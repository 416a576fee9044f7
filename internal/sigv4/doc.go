// Package sigv4 is AWS Signature Version 4 in its header form, in both
// directions: it signs requests for Bedrock and verifies callers that sign
// with a key pair that Sluice issued.
//
// Both directions build the same canonical request, by the rule that every AWS
// SDK was seen to use for Bedrock: the path exactly as on the wire, each byte
// but the unreserved ones and `/` escaped (so `%3A` becomes `%253A`), and
// nothing normalised; whoever builds a path keeps dot segments out of it.
//
// It does not do presigned queries, unsigned or streamed payloads, Signature
// V4A, or the path rule of S3, and refuses callers that use them. It knows no
// tenants; secrets and the time come in as arguments.
//
// Source: AWS Identity and Access Management user guide, "Create a signed AWS
// API request".
package sigv4
