package tools

import (
	"fmt"
	"math/big"

	"github.com/spf13/pflag"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/simulate"
)

// leverFlags are the flags of simulate that ask for a lever.
type leverFlags struct {
	model, tier                              string
	cacheHit, cacheWrite, batch              string
	calls, seats                             int64
	provisioned, sagemaker                   []string
	units, unitTokens                        int64
	customUnits, copies                      int64
	awake                                    string
	documents, documentTokens, documentBytes int64
	ocus                                     int64
	embedding, again                         string
	guardrail                                []string
	promptCharacters, answerCharacters       int64
	unitPrices                               []string
}

func (f *leverFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.model, "model", "", "one `MODEL` that the levers are asked of; default the escalation model")
	flags.StringVar(&f.tier, "tier", "", "prices of service `TIER`, such as flex, priority or batch")
	flags.StringVar(&f.cacheHit, "cache-hit", "0", "`SHARE` of the input that is read from the prompt cache")
	flags.StringVar(&f.cacheWrite, "cache-write", "0", "`SHARE` of the input that is written to it, for five minutes")
	flags.StringVar(&f.batch, "batch", "0", "`SHARE` of the requests that may wait for a batch job")
	flags.Int64Var(&f.calls, "calls", 1, "a request is a chain of `N` calls, each with the answers before it")
	flags.Int64Var(&f.seats, "seats", 0, "--requests-per-day are those of each of `N` seats")
	flags.StringSliceVar(&f.provisioned, "provisioned", nil,
		"`USD` of a model unit for an hour; one for each term, the dearest first")
	flags.StringSliceVar(&f.sagemaker, "sagemaker", nil, "`USD` of an instance of SageMaker for an hour")
	flags.Int64Var(&f.units, "units", 1, "`N` model units or instances")
	flags.Int64Var(&f.unitTokens, "unit-tokens", 0, "`TOKENS` that one of them serves in an hour, as measured")
	flags.Int64Var(&f.customUnits, "custom-model", 0, "custom model `UNITS` of a copy of an imported model")
	flags.Int64Var(&f.copies, "copies", 1, "`N` copies of it that are awake at once")
	flags.StringVar(&f.awake, "awake", "24", "`HOURS` of a day in which they are")
	flags.Int64Var(&f.documents, "knowledge-base", 0, "`DOCUMENTS` of a knowledge base")
	flags.Int64Var(&f.documentTokens, "document-tokens", 400, "`TOKENS` of a document")
	flags.Int64Var(&f.documentBytes, "document-bytes", 1_000_000, "`BYTES` of a document in S3")
	flags.Int64Var(&f.ocus, "ocus", 2, "`N` compute units of OpenSearch Serverless")
	flags.StringVar(&f.embedding, "embedding", "amazon.titan-embed-text-v2:0", "embedding `MODEL`")
	flags.StringVar(&f.again, "embedded-again", "0", "`SHARE` of the documents that is embedded again in a month")
	flags.StringSliceVar(&f.guardrail, "guardrail", nil, "guardrail `POLICY`s that look at each text, such as content")
	flags.Int64Var(&f.promptCharacters, "prompt-characters", 2000, "`CHARACTERS` of a prompt, for --guardrail")
	flags.Int64Var(&f.answerCharacters, "answer-characters", 1500, "`CHARACTERS` of an answer, for --guardrail")
	flags.StringSliceVar(&f.unitPrices, "unit-price", nil, "`NAME=USD` of what no price book has, such as ocu-hour=0.24")
}

// byItself reports whether something is asked for that needs no requests.
func (f *leverFlags) byItself() bool {
	return f.customUnits > 0 || f.documents > 0 || len(f.guardrail) > 0 || len(f.provisioned)+len(f.sagemaker) > 0
}

// mistake is the first flag out of range.
func (f *leverFlags) mistake() error {
	for _, n := range []struct {
		flag        string
		value, most int64
	}{
		{"seats", f.seats, 1 << 30}, {"units", f.units, 1 << 20}, {"unit-tokens", f.unitTokens, 1 << 40},
		{"custom-model", f.customUnits, 1 << 20}, {"copies", f.copies, 1 << 20}, {"knowledge-base", f.documents, 1 << 40},
		{"document-tokens", f.documentTokens, 1 << 30}, {"document-bytes", f.documentBytes, 1 << 40},
		{"ocus", f.ocus, 1 << 20},
		{"prompt-characters", f.promptCharacters, 1 << 30}, {"answer-characters", f.answerCharacters, 1 << 30},
	} {
		if n.value < 0 || n.value > n.most {
			return fmt.Errorf("--%s is from 0 to %d", n.flag, n.most)
		}
	}
	return nil
}

// levers are the shares that change what each model costs.
func (f *leverFlags) levers() (l simulate.Levers, err error) {
	for _, share := range []struct {
		flag, text string
		dst        **big.Rat
	}{{"cache-hit", f.cacheHit, &l.CacheHit}, {"cache-write", f.cacheWrite, &l.CacheWrite}, {"batch", f.batch, &l.Batch}} {
		if *share.dst, err = decimal(share.flag, share.text); err != nil {
			return l, err
		}
	}
	return l, nil
}

// asking is what the sheets are made of.
type asking struct {
	work   simulate.Workload // as it was given, before chains
	days   int64
	setup  simulate.Setup
	prices *simulate.PriceList // of the default tier
	tiered *simulate.PriceList // of --tier
	units  simulate.UnitPrices
}

// sheets are those of all levers that were asked for.
func (f *leverFlags) sheets(a *asking) (all []simulate.Sheet, err error) {
	a.units = simulate.DefaultUnitPrices()
	for _, text := range f.unitPrices {
		if err := a.units.Set(text); err != nil {
			return nil, err
		}
	}
	name, demand := f.model, (*simulate.Demand)(nil)
	if name == "" {
		name = a.setup.Escalation.ID
	}
	if name != "" {
		if all, demand, err = f.onModel(a, name); err != nil {
			return nil, err
		}
	}
	capacity, err := f.capacity(a, demand)
	if err != nil {
		return nil, err
	}
	hosted, err := f.hosted(a, demand)
	return append(append(all, capacity...), hosted...), err
}

// onModel are the sheets of what is asked of one model, and what the workload costs on it.
func (f *leverFlags) onModel(a *asking, name string) (all []simulate.Sheet, d *simulate.Demand, err error) {
	m, err := a.tiered.Find(name)
	if err != nil {
		return nil, nil, err
	}
	chain, err := a.work.Chained(f.calls)
	if err != nil {
		return nil, nil, err
	}
	demand := simulate.NewDemand(chain, m, a.setup, a.days)
	if f.tier != "" || f.cacheHit != "0" || f.batch != "0" {
		plain, err := a.prices.Find(m.ID)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, simulate.LeverSheet(chain, m, plain, a.setup))
	}
	if f.calls > 1 {
		all = append(all, simulate.ChainSheet(simulate.NewDemand(a.work, m, a.setup, a.days), demand, f.calls))
	}
	if f.seats > 0 {
		all = append(all, simulate.SeatsSheet(demand, f.seats))
	}
	return all, &demand, nil
}

// capacity are the sheets of what is paid by the hour.
func (f *leverFlags) capacity(a *asking, d *simulate.Demand) (all []simulate.Sheet, err error) {
	if d == nil {
		d = &simulate.Demand{Cost: new(big.Rat), Days: a.days}
	}
	for _, asked := range []struct {
		what   string
		prices []string
	}{{"model units", f.provisioned}, {"SageMaker instances", f.sagemaker}} {
		c := simulate.Capacity{What: asked.what, Number: f.units, Serves: f.unitTokens}
		for _, text := range asked.prices {
			price, err := money.ParseDollars(text)
			if err != nil || price <= 0 || f.units == 0 {
				return nil, fmt.Errorf("%q is no price of %s for an hour", text, asked.what)
			}
			c.Prices = append(c.Prices, price)
		}
		if len(c.Prices) > 0 {
			all = append(all, simulate.CapacitySheet(c, *d))
		}
	}
	return all, nil
}

// hosted are the sheets of what is beside the models of the price book.
func (f *leverFlags) hosted(a *asking, d *simulate.Demand) (all []simulate.Sheet, err error) {
	if f.customUnits > 0 {
		m := simulate.Imported{Units: f.customUnits, Copies: f.copies}
		if m.Awake, err = decimal("awake", f.awake); err != nil {
			return nil, err
		}
		all = append(all, simulate.ImportedSheet(m, a.units, a.days, d))
	}
	if f.documents > 0 {
		k := simulate.KnowledgeBase{
			Documents: f.documents, Tokens: f.documentTokens, Bytes: f.documentBytes, OCUs: f.ocus, Embedding: f.embedding,
		}
		if k.Again, err = decimal("embedded-again", f.again); err != nil {
			return nil, err
		}
		if k.Rate, err = a.prices.Embedding(f.embedding); err != nil {
			return nil, err
		}
		all = append(all, simulate.KnowledgeBaseSheet(k, a.units))
	}
	if len(f.guardrail) > 0 {
		texts := []int64{f.promptCharacters, f.answerCharacters}
		g := simulate.Guarded{Policies: f.guardrail, Texts: texts, Requests: a.work.Requests}
		sheet, err := a.prices.GuardrailSheet(g, a.units)
		if err != nil {
			return nil, err
		}
		all = append(all, sheet)
	}
	return all, nil
}
