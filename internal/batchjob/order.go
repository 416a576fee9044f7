package batchjob

import (
	"errors"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// Order is what a request for a job says of its records (AWS service model bedrock, CreateModelInvocationJob).
type Order struct {
	Input string         // s3://bucket/key of a file, or of a folder
	Op    wire.Operation // in whose form the records are, OpInvoke or OpConverse
}

// What of a request an order is read from.
const (
	ofInput uint8 = iota + 1
	ofForm
)

var orderTree = jsonscan.NewTree([]jsonscan.Rule{
	{Path: "inputDataConfig.s3InputDataConfig.s3Uri", Role: ofInput}, {Path: "modelInvocationType", Role: ofForm},
})

// ReadOrder reads the body of a request. It fails for one that Bedrock would refuse too, or could read in two ways.
func ReadOrder(body []byte) (Order, error) {
	o := Order{Op: wire.OpInvoke}
	var w jsonscan.Walker
	w.Reset(orderTree, body)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		if m.Kind != jsonscan.String {
			continue
		}
		switch text := string(jsonscan.AppendString(nil, body[m.Start:m.End])); {
		case m.Role == ofInput:
			o.Input = text
		case text == "Converse":
			o.Op = wire.OpConverse
		case text != "InvokeModel":
			return o, errors.New("modelInvocationType is neither InvokeModel nor Converse")
		}
	}
	if err := w.Err(); err != nil {
		return o, err
	}
	if !InS3(o.Input) {
		return o, errors.New("inputDataConfig.s3InputDataConfig.s3Uri is no s3://bucket/key")
	}
	return o, nil
}
