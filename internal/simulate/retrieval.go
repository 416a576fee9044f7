package simulate

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// KnowledgeBase is the store of a knowledge base, which has no fee of its own.
type KnowledgeBase struct {
	Documents, Tokens int64       // how many, and tokens of one
	Bytes             int64       // of one in S3
	OCUs              int64       // compute units of OpenSearch Serverless
	Embedding         string      // id of the model
	Rate              money.Price // of a million of its tokens
	Again             *big.Rat    // share of the documents that is embedded again in a month
}

// KnowledgeBaseSheet is what a knowledge base costs in a month. The model that answers is not
// in it.
func KnowledgeBaseSheet(k KnowledgeBase, prices UnitPrices) Sheet {
	sheet := Sheet{Title: fmt.Sprintf("knowledge base of %s documents", grouped(fmt.Sprint(k.Documents)))}
	tokens := product(whole(k.Documents), whole(k.Tokens))
	once := product(tokens, big.NewRat(int64(k.Rate), 1_000_000))
	hour := product(whole(k.OCUs), prices.rat(OCUHour))
	stored := product(whole(k.Documents), whole(k.Bytes), big.NewRat(1, 1_000_000_000))
	sheet.add(fmt.Sprintf("OpenSearch Serverless, %d units, 720 hours", k.OCUs), USD, product(hour, whole(720)), "")
	sheet.add(fmt.Sprintf("OpenSearch Serverless, %d units, %d hours", k.OCUs, monthHours), USD,
		product(hour, whole(monthHours)), "a mean month")
	sheet.add("tokens to embed", Count, tokens, "")
	sheet.add("1,000 tokens embedded", USD, big.NewRat(int64(k.Rate), 1000), k.Embedding)
	sheet.add("embedding all of them once", USD, once, "")
	sheet.add("embedding again, a month", USD, product(once, k.Again), percent(k.Again)+" of the documents change")
	sheet.add("gigabytes in S3", Count, stored, "")
	sheet.add("S3, a month", USD, product(stored, prices.rat(GBMonth)), "")
	return sheet
}

// ErrGuardrail is wrapped by errors about guardrail policies.
var ErrGuardrail = errors.New("which guardrail policy is meant?")

// Guarded is what a guardrail looks at.
type Guarded struct {
	Policies []string // by the names of the price book
	Texts    []int64  // characters of each text: the prompt, the answer
	Requests int64
}

// textUnit is how many characters a guardrail counts as one unit, begun ones whole.
const textUnit = 1000

// GuardrailSheet is what guardrails cost by request, and in all. It fails with ErrGuardrail.
func (l *PriceList) GuardrailSheet(g Guarded, prices UnitPrices) (Sheet, error) {
	sheet := Sheet{Title: "guardrail policies: " + strings.Join(g.Policies, ", ")}
	units := int64(0)
	for _, n := range g.Texts {
		units += (n + textUnit - 1) / textUnit
	}
	sheet.add("text units of a request", Count, whole(units), "")
	request := new(big.Rat)
	for _, policy := range g.Policies {
		unit, err := l.guardrail(policy, prices)
		if err != nil {
			return Sheet{}, err
		}
		sheet.add(policy+", a unit", USD, unit, "")
		request = sum(request, product(unit, whole(units)))
	}
	sheet.add("a request", USD, request, "")
	if g.Requests > 0 {
		sheet.add(grouped(fmt.Sprint(g.Requests))+" requests", USD, product(request, whole(g.Requests)), "")
	}
	return sheet, nil
}

// guardrail is what a text unit of a policy costs.
func (l *PriceList) guardrail(policy string, prices UnitPrices) (*big.Rat, error) {
	if own, given := prices[GuardrailUnit]; given {
		return whole(int64(own)), nil
	}
	p := l.price(record.SKUOf(record.GuardrailModel, "", "", ""))
	if p == nil {
		return nil, fmt.Errorf("%w no price book has guardrails", ErrGuardrail)
	}
	listed := p.Rates().Guardrail
	million, ok := listed[policy]
	if !ok {
		return nil, fmt.Errorf("%w %q has no price; there are %s", ErrGuardrail, policy,
			strings.Join(slices.Sorted(maps.Keys(listed)), ", "))
	}
	return big.NewRat(int64(million), 1_000_000), nil
}

// Embedding finds what a million tokens of an embedding model cost. It fails with ErrModel.
func (l *PriceList) Embedding(model string) (money.Price, error) {
	if p := l.price(record.SKUOf(model, "", "", "")); p != nil && p.Rates().HasInput {
		return p.Rates().Input, nil
	}
	return 0, fmt.Errorf("%w no embedding model with a price is called %q", ErrModel, model)
}
