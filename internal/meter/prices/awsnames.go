package prices

import (
	"regexp"
	"slices"
	"strings"
)

// AWS's price lists call models by the names that people read, and in more than one
// way: "Nova 2.0 Lite", "Claude Sonnet 4.5 (Amazon Bedrock Edition)",
// "TitanEmbeddingsV2-Text-input". An id is found by what is left of both when all
// but letters and digits is taken away, or by this list.

// awsNames are the names that no rule finds.
var awsNames = map[string]string{
	"Claude 2.1":                            "anthropic.claude-v2:1",
	"Claude Instant":                        "anthropic.claude-instant-v1",
	"R1":                                    "deepseek.r1-v1:0",
	"Titan Embeddings G1 Text":              "amazon.titan-embed-text-v1",
	"Titan Embeddings G1 Image":             "amazon.titan-embed-image-v1",
	"TitanEmbeddingsV2-Text-input":          "amazon.titan-embed-text-v2:0",
	"Titan Text G1 Lite":                    "amazon.titan-text-lite-v1",
	"Titan Text G1 Express":                 "amazon.titan-text-express-v1",
	"Titan Text G1 Premier":                 "amazon.titan-text-premier-v1:0",
	"Nova MultiModal Embeddings":            "amazon.nova-2-multimodal-embeddings-v1:0",
	"Amazon Rerank 1.0":                     "amazon.rerank-v1:0",
	"Cohere Rerank 3.5":                     "cohere.rerank-v3-5:0",
	"Cohere Rerank v3.5":                    "cohere.rerank-v3-5:0",
	"Cohere Embed 3 Model - English":        "cohere.embed-english-v3",
	"Cohere Embed Model 3 - Multilingual":   "cohere.embed-multilingual-v3",
	"Cohere Embed 4 Model":                  "cohere.embed-v4:0",
	"Cohere Generate Model - Command":       "cohere.command-text-v14",
	"Cohere Generate Model - Command-Light": "cohere.command-light-text-v14",
	"Mistral Large":                         "mistral.mistral-large-2402-v1:0",
	"Mistral Large 3":                       "mistral.mistral-large-3-675b-instruct",
	"Mistral Small":                         "mistral.mistral-small-2402-v1:0",
	"Pixtral Large 25.02":                   "mistral.pixtral-large-2502-v1:0",
	"Ministral 3B 3.0":                      "mistral.ministral-3-3b-instruct",
	"Ministral 8B 3.0":                      "mistral.ministral-3-8b-instruct",
	"Ministral 14B 3.0":                     "mistral.ministral-3-14b-instruct",
	"Magistral Small 1.2":                   "mistral.magistral-small-2509",
	"Devstral":                              "mistral.devstral-2-123b",
	"Voxtral Mini 1.0":                      "mistral.voxtral-mini-3b-2507",
	"Voxtral Small 1.0":                     "mistral.voxtral-small-24b-2507",
	"NVIDIA Nemotron Nano 2":                "nvidia.nemotron-nano-9b-v2",
	"NVIDIA Nemotron Nano 2 VL":             "nvidia.nemotron-nano-12b-v2",
	"NVIDIA Nemotron 3 Super 120B A12B":     "nvidia.nemotron-super-3-120b",
	"Nemotron Nano 3 30B":                   "nvidia.nemotron-nano-3-30b",
	"Kimi K2 Thinking":                      "moonshot.kimi-k2-thinking",
}

// nameIndex finds the id of a model by its name in a price list.
type nameIndex map[string]string

// newNameIndex indexes ids. A name that would be of two of them finds none.
func newNameIndex(ids []string) nameIndex {
	index := nameIndex{}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		maker, model, ok := strings.Cut(id, ".")
		if !ok || strings.Contains(id, "*") {
			continue
		}
		model = plainModel(model)
		for _, name := range []string{model, maker + model, turned(model)} {
			key := letters(name)
			if other, twice := index[key]; twice && other != id {
				index[key] = ""
				continue
			}
			index[key] = id
		}
	}
	for name, id := range awsNames {
		index[letters(name)] = id
	}
	return index
}

var modelSuffix = regexp.MustCompile(`(-1:[0-9]+|:[0-9]+|-v[01]|-[0-9]{8}|-instruct|-it|-text)$`)

// plainModel is the part of an id that names have: without date, revision and what
// all models of a family are.
func plainModel(model string) string {
	for {
		short := modelSuffix.ReplaceAllString(model, "")
		if short == model || short == "" {
			return model
		}
		// The second version of Claude 3.5 Sonnet is another model than the first.
		if revised, ok := strings.CutSuffix(short, "-v2"); ok && modelSuffix.MatchString(revised) {
			return modelSuffix.ReplaceAllString(revised, "") + "-v2"
		}
		model = short
	}
}

var zeroMinor = regexp.MustCompile(`([0-9])\.0\b`)

var (
	familyFirst  = regexp.MustCompile(`^claude-([a-z]+)-([0-9-]+)$`)
	versionFirst = regexp.MustCompile(`^claude-([0-9-]+)-([a-z]+)$`)
)

// turned is the name of a Claude with version and family the other way round: Claude
// Opus 4.6 is Claude4.6Opus in usage types.
func turned(model string) string {
	for _, form := range []*regexp.Regexp{familyFirst, versionFirst} {
		if m := form.FindStringSubmatch(model); m != nil {
			return "claude-" + m[2] + "-" + m[1]
		}
	}
	return model
}

// find is the id of the model that a price list calls name, "" for an unknown one.
func (x nameIndex) find(name string) string {
	if id := x[letters(name)]; id != "" {
		return id
	}
	return x[letters(zeroMinor.ReplaceAllString(name, "$1"))]
}

// letters are the letters and digits of a name, in lower case.
func letters(name string) string {
	name = strings.ReplaceAll(strings.ToLower(name), "+", "plus")
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, name)
}
