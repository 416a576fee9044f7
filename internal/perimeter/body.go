package perimeter

import (
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// class is what a value in a body is.
type class uint8

const (
	other      class = iota
	free             // of a tool or a schema: names mean nothing there, at any depth
	place            // an object that says where something is in S3
	guard            // a configuration of a guardrail
	toolUse          // a call of a tool
	invocation       // an InvokeModel request within CountTokens
	placeURI         // from here on values that name something
	ownerName        // an account
	keyName          // of KMS
	guardrailName
	modelName
	roleName // as which a batch job reads and writes
	knowledgeName
	wrapped // base64 of a body
)

// reader finds what a body names, wherever that is: the bodies of InvokeModel are as
// many as there are families, and members of the same name mean the same in all.
type reader struct {
	body  []byte
	scan  jsonscan.Scanner
	found func(what class, value string) *wire.Error
	depth int
	// inside are the classes of the containers that are open.
	inside [jsonscan.MaxDepth + 1]class
}

// read calls found for each name, every occurrence of a repeated member too, until it
// fails. A body that is not well-formed ends where it stops being so: it was refused
// before, or Bedrock cannot read it either.
func (r *reader) read() *wire.Error {
	r.scan.Reset(r.body)
	next := other
	for {
		t := r.scan.Next()
		switch t.Kind {
		case jsonscan.Invalid, jsonscan.End:
			return nil
		case jsonscan.Key:
			next = r.classOf(t)
			continue
		case jsonscan.BeginObject, jsonscan.BeginArray:
			r.depth++
			r.inside[r.depth] = next
			if t.Kind == jsonscan.BeginObject && next >= placeURI {
				r.inside[r.depth] = other
			}
		case jsonscan.EndObject, jsonscan.EndArray:
			r.depth--
		case jsonscan.Null:
		default:
			if next >= placeURI {
				if err := r.found(next, r.text(t)); err != nil {
					return err
				}
			}
		}
		next = r.inside[r.depth] // of the next element of an array
	}
}

// text is what a value is as text: a reader may take a number or a literal for that.
func (r *reader) text(t jsonscan.Token) string {
	if t.Kind == jsonscan.String {
		return string(jsonscan.AppendString(nil, r.body[t.Start:t.End]))
	}
	return string(r.body[t.Start:t.End])
}

// deepInput is the depth from which on `input` is what a tool is called with: above it
// is that of CountTokens.
const deepInput = 3

// classOf is the class of the value of a member.
func (r *reader) classOf(t jsonscan.Token) class {
	within := r.inside[r.depth]
	if within == free {
		return free
	}
	name := r.body[t.Start+1 : t.End-1]
	var room [64]byte
	if t.Shrink > 0 {
		name = jsonscan.AppendString(room[:0], r.body[t.Start:t.End])
	}
	switch string(name) {
	case "inputSchema", "input_schema", "arguments", "toolSpec", "json":
		if r.depth >= deepInput || within == toolUse || string(name) == "toolSpec" {
			return free
		}
	case "toolUse":
		return toolUse
	case "input":
		if within == toolUse || r.depth >= deepInput {
			return free
		}
	case "guardrailIdentifier", "guardrailId":
		if within == guard {
			return guardrailName
		}
	case "kmsKeyId", "s3EncryptionKeyId":
		if within == place {
			return keyName
		}
	case "bucketOwner", "s3BucketOwner":
		if within == place {
			return ownerName
		}
	case "model", "modelId":
		if r.depth == 1 {
			return modelName
		}
	case "roleArn":
		if r.depth == 1 {
			return roleName
		}
	case "modelArn":
		return modelName
	case "knowledgeBaseId":
		return knowledgeName
	case "kmsKeyArn":
		return keyName
	case "invokeModel":
		return invocation
	case "body":
		if within == invocation {
			return wrapped
		}
	case "uri":
		if within == place {
			return placeURI
		}
	}
	return byEnding(string(name))
}

// byEnding is the class of a member whose name is one of many that are alike.
func byEnding(name string) class {
	switch {
	case name == "guardrailConfiguration", strings.HasSuffix(name, "guardrailConfig"): // with a prefix in InvokeModel
		return guard
	case !strings.HasPrefix(name, "s3"):
		return other
	case strings.HasSuffix(name, "Uri"):
		return placeURI
	}
	return place
}
